using System.Text.Json;

namespace KaslrMt.Tenants.Etcd;

/// <summary>A transaction's answer.</summary>
/// <param name="Succeeded">Whether the comparison held.</param>
/// <param name="Revision">The store's revision.</param>
/// <param name="Ranges">What its reads found, in their order.</param>
internal sealed record EtcdAnswer(bool Succeeded, long Revision, IReadOnlyList<List<EtcdPair>> Ranges)
{
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.EtcdAnswer"/>.</exception>
    internal static EtcdAnswer Of(JsonElement answer) => EtcdShape.Read(() => Parse(answer));

    private static EtcdAnswer Parse(JsonElement answer)
    {
        List<List<EtcdPair>> ranges = [];
        if (answer.TryGetProperty("responses", out JsonElement responses))
        {
            foreach (JsonElement response in responses.EnumerateArray())
            {
                if (response.TryGetProperty("response_range", out JsonElement range))
                {
                    ranges.Add(EtcdPair.In(range));
                }
            }
        }

        bool succeeded = answer.TryGetProperty("succeeded", out JsonElement flag) && flag.GetBoolean();
        return new EtcdAnswer(succeeded, EtcdPair.Number(answer.GetProperty("header"), "revision"), ranges);
    }

    /// <summary>The one pair of a read of one key.</summary>
    internal EtcdPair One(int index) => EtcdShape.Read(() => Ranges[index] is [EtcdPair pair, ..] ? pair : EtcdPair.None);
}

using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace KaslrMt.Tenants.Etcd;

/// <summary>A key, its value and revisions; or a key that does not exist, with revision 0.</summary>
internal readonly record struct EtcdPair(string Key, byte[] Value, long Modified, long Created)
{
    internal static EtcdPair None { get; } = new("", [], 0, 0);

    internal bool Exists => Modified != 0;

    /// <summary>The pairs of a range's answer.</summary>
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.EtcdAnswer"/>.</exception>
    internal static List<EtcdPair> In(JsonElement range) => EtcdShape.Read<List<EtcdPair>>(
        () => range.TryGetProperty("kvs", out JsonElement all) ? [.. all.EnumerateArray().Select(Of)] : []);

    /// <exception cref="KaslrMtException"><see cref="TenantErrors.EtcdAnswer"/>.</exception>
    internal static EtcdPair Of(JsonElement pair) => EtcdShape.Read(() => new EtcdPair(
        EtcdTransaction.Decode(pair.GetProperty("key").GetString()!),
        pair.TryGetProperty("value", out JsonElement value) ? value.GetBytesFromBase64() : [],
        Number(pair, "mod_revision"),
        Number(pair, "create_revision")));

    /// <summary>A 64-bit number, which the gateway writes as a string and leaves out when it is 0.</summary>
    internal static long Number(JsonElement element, string name) => !element.TryGetProperty(name, out JsonElement number)
        ? 0
        : number.ValueKind == JsonValueKind.Number ? number.GetInt64() : long.Parse(number.GetString()!, CultureInfo.InvariantCulture);

    /// <summary>The value as a record; null when the key does not exist.</summary>
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.StoreCorrupt"/>.</exception>
    internal T? Read<T>(JsonTypeInfo<T> type)
        where T : class
    {
        try
        {
            return Exists ? JsonSerializer.Deserialize(Value, type) ?? throw new JsonException("null") : null;
        }
        catch (Exception e) when (e is JsonException or KaslrMtException)
        {
            throw new KaslrMtException(
                TenantErrors.StoreCorrupt, $"etcd's key {Key} holds no record of the tenant table", "somebody wrote to it past kaslrmt: restore a snapshot, or delete the key", e);
        }
    }
}

using System.Globalization;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace KaslrMt.TestSupport.Etcd;

/// <summary>
/// etcd's JSON gateway (https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/): what an administrator does to a cluster, and another way than the store's own
/// to see what is in it.
/// </summary>
internal static class Gateway
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>Calls a member, again and again until it answers.</summary>
    /// <exception cref="GatewayFault">It answered with an error.</exception>
    internal static async Task<JsonElement> CallAsync(Uri endpoint, string path, JsonObject request)
    {
        // What was sent is not sent again while its answer may come: to add a user twice is an error.
        using var http = new HttpClient { Timeout = Patience };
        long deadline = Environment.TickCount64 + (long)Patience.TotalMilliseconds;
        while (true)
        {
            try
            {
                using HttpResponseMessage response = await http.PostAsync(new Uri(endpoint, path), new StringContent(request.ToJsonString()));
                JsonElement answer = await response.Content.ReadFromJsonAsync<JsonElement>();
                if (!answer.TryGetProperty("error", out JsonElement error))
                {
                    return answer;
                }

                var fault = new GatewayFault(answer.GetProperty("code").GetInt32(), error.GetString()!);
                if (fault.Status != GatewayFault.Unavailable || Environment.TickCount64 > deadline)
                {
                    throw fault;
                }
            }
            catch (Exception e) when (e is (HttpRequestException or JsonException) && Environment.TickCount64 < deadline)
            {
                // It is on its way up.
            }

            await Task.Delay(100);
        }
    }

    internal static string Encode(string text) => Convert.ToBase64String(Encoding.UTF8.GetBytes(text));

    /// <summary>A request for all that begins so.</summary>
    internal static JsonObject Prefix(string prefix) =>
        new() { ["key"] = Encode(prefix), ["range_end"] = Encode($"{prefix[..^1]}{(char)(prefix[^1] + 1)}") };

    /// <summary>The pairs of a range's answer. A 64-bit number is a string there.</summary>
    internal static IReadOnlyList<(string Key, byte[] Value, long Modified)> Pairs(JsonElement range) => range.TryGetProperty("kvs", out JsonElement all)
        ? [.. all.EnumerateArray().Select(pair => (
            Encoding.UTF8.GetString(pair.GetProperty("key").GetBytesFromBase64()),
            pair.GetProperty("value").GetBytesFromBase64(),
            long.Parse(pair.GetProperty("mod_revision").GetString()!, CultureInfo.InvariantCulture)))]
        : [];
}

/// <summary>What the gateway answered in place of a result.</summary>
/// <param name="status">gRPC's status.</param>
/// <param name="message">Its words.</param>
internal sealed class GatewayFault(int status, string message) : Exception(message)
{
    internal const int ResourceExhausted = 8;
    internal const int OutOfRange = 11;
    internal const int Unavailable = 14;

    internal int Status => status;
}

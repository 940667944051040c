using System.Text.Json;

namespace KaslrMt.Hypervisors;

/// <summary>Which memory backends of a QEMU are RAM to its guest.</summary>
internal static class MemoryBackends
{
    private const int Most = 1024;

    /// <summary>The names of all backends but non-volatile modules' (<c>query-memdev</c>, <c>query-memory-devices</c>).</summary>
    /// <exception cref="KaslrMtException">The monitor's errors.</exception>
    internal static async Task<IReadOnlyCollection<string>> OfAsync(QmpClient monitor, CancellationToken cancellationToken)
    {
        HashSet<string> names = [];
        foreach (JsonElement backend in Entries(await monitor.ExecuteAsync("query-memdev", cancellationToken: cancellationToken).ConfigureAwait(false)))
        {
            if (Text(backend, "id") is { } id)
            {
                names.Add(id);
            }
        }

        foreach (JsonElement device in Entries(await monitor.ExecuteAsync("query-memory-devices", cancellationToken: cancellationToken).ConfigureAwait(false)))
        {
            // A kernel keeps nothing of its own in these, and does not count them as RAM.
            if (Text(device, "type") is "nvdimm" or "virtio-pmem" && device.TryGetProperty("data", out JsonElement data) && Text(data, "memdev") is { } path)
            {
                names.Remove(path[(path.LastIndexOf('/') + 1)..]);
            }
        }

        return names;
    }

    private static IEnumerable<JsonElement> Entries(JsonElement list) =>
        list.ValueKind == JsonValueKind.Array ? list.EnumerateArray().Where(entry => entry.ValueKind == JsonValueKind.Object).Take(Most) : [];

    private static string? Text(JsonElement entry, string member) =>
        entry.ValueKind == JsonValueKind.Object && entry.TryGetProperty(member, out JsonElement value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()
            : null;
}

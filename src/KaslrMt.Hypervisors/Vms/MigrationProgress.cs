using System.Text.Json;

namespace KaslrMt.Hypervisors;

/// <summary>How far a migration has come: QEMU's <c>MigrationInfo</c> (<c>qapi/migration.json</c>).</summary>
/// <param name="Status">QEMU's word: <c>setup</c>, <c>active</c>, <c>completed</c>, <c>failed</c>, <c>cancelled</c>, …</param>
/// <param name="Transferred">Bytes sent.</param>
/// <param name="Remaining">Bytes still to send; grows while the guest writes.</param>
/// <param name="Total">Bytes of guest RAM.</param>
/// <param name="Rounds">How often the guest's writes were collected.</param>
/// <param name="Downtime">How long the guest stood still; zero until it is over.</param>
public readonly record struct MigrationProgress(string Status, long Transferred, long Remaining, long Total, long Rounds, TimeSpan Downtime)
{
    /// <summary>What a migration sends at most unless its caller says otherwise, in bytes a second: 10 Gbit/s.</summary>
    public const long DefaultBandwidth = 1_250_000_000;

    internal static MigrationProgress Of(JsonElement info)
    {
        JsonElement ram = info.TryGetProperty("ram", out JsonElement found) ? found : default;
        return new(
            info.TryGetProperty("status", out JsonElement status) ? status.GetString() ?? "none" : "none",
            Number(ram, "transferred"),
            Number(ram, "remaining"),
            Number(ram, "total"),
            Number(ram, "dirty-sync-count"),
            TimeSpan.FromMilliseconds(Number(info, "downtime")));
    }

    private static long Number(JsonElement parent, string name) =>
        parent.ValueKind == JsonValueKind.Object && parent.TryGetProperty(name, out JsonElement value) && value.TryGetInt64(out long number) ? number : 0;
}

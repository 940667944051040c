using System.Text.Json.Nodes;

namespace KaslrMt.Lab.Tests.Html;

/// <summary>Results as experiments write them, small, with names that somebody hostile chose.</summary>
internal static class ReportFixtures
{
    public const string HostileName = "<img src=x onerror=\"document.title='owned'\">";
    public const string HostileTenant = "</script><script>document.title='owned'</script>\u2028&";

    private static readonly string[] Classes = ["kernel-code", "kernel-data", "module-code", "module-data", "vmalloc", "vmemmap"];

    public static JsonObject Curve(params string[] modes) => new()
    {
        ["guest"] = "minimal",
        ["kernel"] = "6.1-cloud",
        ["memoryBytes"] = 1 << 28,
        ["accelerator"] = "tcg",
        ["guests"] = 3,
        ["modes"] = Array(modes.Select((name, number) => Mode(name, 0.2 + (0.1 * number)))),
        ["paper"] = Array(new[] { ("off", 0.4509, 0.7), ("stock", 0.2765, 0.35) }.Select(paper =>
            new JsonObject { ["mode"] = paper.Item1, ["two"] = paper.Item2, ["thirty"] = paper.Item3 })),
        ["measured"] = new JsonObject { ["date"] = "2026-11-22T02:41:00+00:00", ["host"] = "Linux 6.18", ["command"] = "kaslrmt experiment curve", ["version"] = "0.1.0" },
    };

    public static JsonObject Regions(params string[] policies) => new()
    {
        ["guest"] = "minimal",
        ["kernel"] = "6.1-cloud",
        ["memoryBytes"] = 1 << 28,
        ["accelerator"] = "tcg",
        ["probes"] = 2,
        ["policies"] = Array(policies.Select(policy => new JsonObject
        {
            ["policy"] = policy,
            ["probes"] = 2,
            ["classes"] = Array(Classes.Select((name, number) => new JsonObject
            {
                ["name"] = name,
                ["pages"] = 100.5,
                ["zero"] = 0,
                ["byContent"] = number / 5.0,
                ["byPlace"] = number / 10.0,
            })),
        })),
        ["impact"] = Array([Impact("kernel-virtual", "kernel-code", 0.695, "high"), Impact("kernel-virtual", "kernel-data", -0.0003, "none")]),
        ["impactByPlace"] = new JsonArray(),
        ["paper"] = Array([
            new JsonObject { ["class"] = "module-code", ["policies"] = "modules kept", ["paper"] = "25-30", ["byContent"] = 0.8188, ["byPlace"] = 0.8 },
            new JsonObject { ["class"] = "vmalloc", ["policies"] = "all", ["paper"] = "3" }]),
        ["skipped"] = new JsonArray(),
    };

    public static JsonObject Modules() => new()
    {
        ["guest"] = "debian",
        ["kernel"] = "6.1-cloud",
        ["accelerator"] = "tcg",
        ["cpus"] = 2,
        ["options"] = Array([Option("plain", "0xffffffffc0410000", "0xffffffffc0420000"), Option("by-name", "0xffffffffc9000000", "0xffffffffc9000000")]),
    };

    public static JsonObject Sharing() => new()
    {
        ["guests"] = Array([Guest(HostileName, HostileTenant), Guest("web2", null)]),
        ["classes"] = Array(Classes.Select(name => Row(name, 100, 40))),
        ["kernel"] = Row("kernel", 600, 240),
        ["all"] = Row("all", 600, 240),
        ["saveableBytes"] = 360 * 4096,
        ["kernelCodeKeptApartBytes"] = 4096,
        ["changedPages"] = 1,
    };

    private static JsonObject Mode(string name, double share) => new()
    {
        ["name"] = name,
        ["booted"] = 3,
        ["skipped"] = new JsonArray(),
        ["points"] = Array(Enumerable.Range(1, 3).Select(guests => new JsonObject
        {
            ["guests"] = guests,
            ["kernelPages"] = 100 * guests,
            ["kernelDistinct"] = 80 * guests,
            ["kernelRedundantShare"] = share + (guests * 0.1),
            ["allPages"] = 200 * guests,
            ["allDistinct"] = 100 * guests,
            ["allRedundantShare"] = 0.5,
        })),
        ["classes"] = Array(Classes.Select(pages => Row(pages, 100, 40))),
        ["kernelPages"] = Row("kernel", 600, 240),
        ["allPages"] = Row("all", 1200, 480),
        ["changedPages"] = 0,
        ["ksm"] = new JsonObject
        {
            ["guests"] = "paused",
            ["settled"] = true,
            ["seconds"] = 6.5,
            ["scans"] = 5,
            ["pagesShared"] = 10,
            ["pagesSharing"] = 20,
            ["pagesUnshared"] = 30,
            ["pagesVolatile"] = 0,
            ["heldByCounters"] = 40,
            ["residentBefore"] = 2000,
            ["heldPages"] = 1000 + (int)(share * 1000),
            ["otherMergeableBytes"] = 0,
        },
    };

    private static JsonObject Row(string name, int pages, int distinct) => new()
    {
        ["name"] = name,
        ["pages"] = pages,
        ["zero"] = 1,
        ["distinct"] = distinct,
        ["redundant"] = pages - distinct,
        ["withinTenants"] = pages - distinct - 10,
        ["acrossTenants"] = 10,
        ["redundantShare"] = (pages - distinct) / (double)pages,
    };

    private static JsonObject Impact(string region, string pages, double loss, string level) => new()
    {
        ["region"] = region,
        ["class"] = pages,
        ["fixed"] = 1,
        ["random"] = 0.305,
        ["loss"] = loss,
        ["level"] = level,
        ["paperLevel"] = "high",
    };

    private static JsonObject Option(string name, string first, string second) => new()
    {
        ["option"] = name,
        ["what"] = $"what {name} does",
        ["bootSeconds"] = Array([30.5, 31]),
        ["medianBootSeconds"] = 30.75,
        ["modules"] = 1,
        ["modulesNotEverywhere"] = 0,
        ["sameAddress"] = first == second ? 1 : 0,
        ["orders"] = 1,
        ["textPages"] = 305,
        ["equalText"] = 0.5,
        ["unequalText"] = new JsonObject(),
        ["codePages"] = 826,
        ["equalCode"] = 0.7,
        ["dataPages"] = 372,
        ["equalData"] = 0.3,
        ["pageTables"] = 398.25,
        ["boots"] = Array(new[] { first, second }.Select(address => Array([new JsonObject { ["name"] = "virtio_ring", ["address"] = address }]))),
    };

    private static JsonObject Guest(string name, string? tenant)
    {
        var guest = new JsonObject { ["name"] = name, ["release"] = "6.1.0", ["memoryBytes"] = 1 << 28 };
        if (tenant is not null)
        {
            guest["tenant"] = tenant;
        }

        return guest;
    }

    private static JsonArray Array(IEnumerable<JsonNode> nodes) => [.. nodes];

    private static JsonArray Array(IEnumerable<double> numbers) => [.. numbers.Select(number => (JsonNode)number)];
}

using System.Text.Json.Nodes;
using KaslrMt.BootTests.Running;
using KaslrMt.Sharing;

namespace KaslrMt.BootTests;

/// <summary><c>demo</c>: the layouts are what they should be, and what they save is there to be seen.</summary>
[Collection(HostKsm.Name)]
public sealed class DemoTests : IDisposable
{
    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task One_tenants_vms_share_as_without_kaslr_and_other_tenants_as_little_as_with_stock_kaslr()
    {
        KsmSettings before = KsmSettings.Read(KsmFolder.Open());
        using KaslrmtProcess process = new(_scratch, "demo", "--kernel", "6.12-cloud", "--json");
        (int code, string output, string error) = await process.EndAsync(TimeSpan.FromMinutes(8));
        Assert.True(code == 0, error);
        Assert.Empty(_scratch.Leftovers);
        Assert.Equal(before.Values.AsEnumerable(), KsmSettings.Read(KsmFolder.Open()).Values.AsEnumerable());

        JsonNode report = JsonNode.Parse(output)!;
        Assert.Null(report["ksmUnused"]);
        JsonNode kernel = Assert.Single(report["kernels"]!.AsArray())!;
        Assert.Equal(4, kernel["vms"]!.AsArray().Count);
        JsonNode Pair(string vms) => kernel["pairs"]!.AsArray().Single(pair => (string)pair!["vms"]! == vms)!;
        JsonNode off = Pair("without KASLR"), within = Pair("one tenant's"), across = Pair("two tenants'"), stock = Pair("stock KASLR");
        Assert.All([off, within], pair => Assert.InRange((double)pair["kernelCode"]!, 0.99, 1));
        Assert.All([across, stock], pair => Assert.InRange((double)pair["kernelCode"]!, 0.1, 0.5));
        Assert.True((double)within["kernel"]! > (double)across["kernel"]! + 0.2, output);
        Assert.InRange((long)within["heldBytes"]!, 1, (long)stock["heldBytes"]! - 1);
        Assert.True((long)within["heldBytes"]! < (long)within["residentBytes"]!, output);
        Assert.Null(across["heldBytes"]);
    }
}

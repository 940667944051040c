using System.Text.Json;
using KaslrMt.BootTests.Running;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;

namespace KaslrMt.BootTests;

/// <summary>The map of a guest's address space is the one that the guest itself knows.</summary>
public sealed class InspectTests : IDisposable
{
    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("6.1-cloud", "")]
    [InlineData("6.12-cloud", "no5lvl")]
    [InlineData("6.12-cloud", "")]
    public async Task Every_region_lies_where_the_guest_says_and_every_mapped_page_is_in_one(string name, string append)
    {
        await using StockGuest guest = await StockGuest.StartAsync(
            _scratch, name, monitor: true, append, arguments: ["-machine", "q35", "-cpu", "max", "-m", "384M"]);
        await using QemuGuest paused = await QemuGuest.OpenAsync(guest.ProcessId, null, null);
        GuestKernel kernel = GuestKernel.Find(paused.Memory, paused.Hints);
        IReadOnlyList<MapRegion> regions = AddressSpaceMap.Read(kernel);

        Assert.Equal(ulong.MaxValue, regions[^1].Last.Value);
        Assert.All(regions.Zip(regions.Skip(1)), pair => Assert.True(pair.First.Last + 1 == pair.Second.Start, $"{pair.First} {pair.Second}"));
        GuestView view = guest.View;
        Assert.True(Base(regions, "kernel text") == view.Text);
        Assert.True(Base(regions, "vmalloc") == view.Vmalloc);
        Assert.True(Base(regions, "vmemmap") == view.Vmemmap);
        Assert.True(Base(regions, "direct map") == view.Physmap);

        // The kernel keeps W^X, and its sections have the rights of what they hold.
        Assert.Equal(["r-xg"], Accesses(regions, "kernel text"));
        Assert.Equal(["r--g"], Accesses(regions, "kernel rodata"));
        Assert.Equal(["rw-g"], Accesses(regions, "kernel data"));
        Assert.DoesNotContain(regions.SelectMany(region => region.Pages), pages => pages.Access is { Writable: true, Executable: true } or { User: true });
        Assert.Contains("modules", regions.Where(region => region.Mapped > 0).Select(region => region.Name));

        // RAM is in the direct map: all but what firmware keeps.
        Assert.InRange(regions.Single(region => region.Name == "direct map").Mapped, 380UL << 20, 384UL << 20);
        ulong leaves = kernel.Tables.Leaves(regions[0].Start, new(ulong.MaxValue)).Aggregate(0UL, (sum, leaf) => sum + leaf.Size);
        Assert.Equal(leaves, regions.Aggregate(0UL, (sum, region) => sum + region.Mapped));
        Assert.All(regions.Where(region => region.Name == MapRegion.Hole), hole => Assert.Equal(0UL, hole.Mapped));
    }

    [Fact]
    public async Task The_command_shows_a_vm_of_ours_and_its_bases_go_to_standard_output_alone()
    {
        await using TestGuest guest = await TestGuest.StartAsync(_scratch, new GuestPlan { Seed = TestSecrets.Seed("inspect") });
        (int code, string output, string error) = await KaslrmtProcess.RunAsync(_scratch, "inspect", guest.Name);
        Assert.True(code == 0, error);
        Assert.Equal("", error);
        Assert.Contains("direct map", output, StringComparison.Ordinal);
        Assert.Contains($"0x{guest.View().Text:x16}", output, StringComparison.Ordinal);

        (code, output, error) = await KaslrmtProcess.RunAsync(_scratch, "inspect", guest.Name, "--json", "--pause");
        Assert.True(code == 0, error);
        using JsonDocument report = JsonDocument.Parse(output);
        JsonElement text = report.RootElement.GetProperty("regions").EnumerateArray().Single(region => region.GetProperty("name").GetString() == "kernel text");
        Assert.Equal($"0x{guest.View().Text:x16}", text.GetProperty("base").GetString());
        Assert.Equal(4, report.RootElement.GetProperty("levels").GetInt32());
    }

    private static ulong Base(IReadOnlyList<MapRegion> regions, string name) => regions.Single(region => region.Name == name).Start.Value;

    private static string[] Accesses(IReadOnlyList<MapRegion> regions, string name) =>
        [.. regions.Where(region => region.Name == name).SelectMany(region => region.Pages).Select(pages => pages.Access.ToString())];
}

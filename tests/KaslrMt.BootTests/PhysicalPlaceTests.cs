using KaslrMt.BootTests.Running;
using KaslrMt.Layout;

namespace KaslrMt.BootTests;

/// <summary>Kernels at the ends of what memory allows: beside the firmware's data and the initrd, and above 4 GiB.</summary>
public sealed class PhysicalPlaceTests : IDisposable
{
    private const ulong FourGiB = 4 * ByteSize.GiB;

    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("pc", "512M", "6.1-cloud")]
    [InlineData("q35", "6G", "6.12-cloud")]
    [InlineData("microvm", "6G", "6.1-cloud")]
    [InlineData("microvm,acpi=off", "128M", "6.12-cloud")]
    public Task The_lowest_place(string machine, string memory, string kernel) =>
        BootAsync(machine, memory, kernel, bases => bases.Min());

    [Theory]
    [InlineData("pc", "6G", "6.12-cloud")]
    [InlineData("q35", "16G", "6.1-cloud")]
    [InlineData("q35", "512M", "6.12-cloud")]
    [InlineData("microvm", "128M", "6.12-cloud")]
    [InlineData("microvm,acpi=off", "6G", "6.1-cloud")]
    public Task The_highest_place_below_4_GiB(string machine, string memory, string kernel) =>
        BootAsync(machine, memory, kernel, bases => bases.Where(place => place < FourGiB).Max());

    [Theory]
    [InlineData("pc", "6G", "6.1-cloud")]
    [InlineData("q35", "6G", "6.12-cloud")]
    [InlineData("microvm", "6G", "6.12-cloud")]
    [InlineData("microvm,acpi=off", "6G", "6.1-cloud")]
    public Task The_lowest_place_above_4_GiB(string machine, string memory, string kernel) =>
        BootAsync(machine, memory, kernel, bases => bases.Where(place => place >= FourGiB).Min());

    [Theory]
    [InlineData("pc", "16G", "6.12-cloud")]
    [InlineData("q35", "6G", "6.1-cloud")]
    [InlineData("microvm", "16G", "6.1-cloud")]
    [InlineData("microvm,acpi=off", "6G", "6.12-cloud")]
    public Task The_highest_place_above_4_GiB(string machine, string memory, string kernel) =>
        BootAsync(machine, memory, kernel, bases => bases.Where(place => place >= FourGiB).Max());

    private async Task BootAsync(string machine, string memory, string kernel, Func<IEnumerable<ulong>, ulong> choose)
    {
        ulong? wanted = null;
        GuestPlan plan = Geometries.Find(
            _scratch,
            new GuestPlan { Machine = machine, Memory = memory, Kernel = kernel, Cpus = 2, Seed = TestSecrets.Seed($"place {machine} {memory}") },
            layout =>
            {
                RegionWindow window = layout[Region.KernelPhysical].Window;
                wanted ??= choose(Enumerable.Range(0, (int)window.Slots).Select(slot => window.BaseOf((ulong)slot)));
                return layout.KernelPhysical.Value == wanted;
            });
        IReadOnlyDictionary<Region, ulong> bases = await Agreement.BootAndCheckAsync(_scratch, plan);
        Assert.Equal(wanted, bases[Region.KernelPhysical]);
    }
}

namespace KaslrMt.Guests.Tests;

/// <summary>Which table of a guest is the kernel's, whatever its processor does at the moment.</summary>
public sealed class LayoutObserverTests : IDisposable
{
    private const ulong Text = 0xffffffff9a200000;
    private const ulong TextTarget = 0x200000;
    private const ulong Physmap = 0xffff990000000000;
    private const ulong Vmalloc = 0xffffb00000000000;
    private const ulong Vmemmap = 0xffffe00040000000;
    private const ulong LinkBase = 0xffffffff81000000;

    private static readonly ObservationSymbols Symbols = new(
        new VirtualAddress(LinkBase), new VirtualAddress(LinkBase + 0x100), [new VirtualAddress(LinkBase + 0x108)], null);

    private readonly SyntheticGuest _guest = new();

    public void Dispose() => _guest.Dispose();

    [Theory]
    [InlineData(0x10000, 0x10000)]
    [InlineData(0x11000, 0x11000)] // No isolation: bit 12 is part of the address, and what lies before is somebody else's page.
    [InlineData(0x10000, 0x10018)] // PCD and PWT
    public void The_table_a_processor_walks_is_the_kernels(ulong root, ulong cr3)
    {
        MapKernel(root);
        Assert.Equal(Expected, LayoutObserver.Read(_guest, cr3, Symbols));
    }

    [Theory]
    [InlineData(0x11000)]
    [InlineData(0x8000000000011801)] // with a PCID
    public void A_processor_in_user_mode_under_isolation_walks_tables_without_the_direct_map(ulong cr3)
    {
        MapKernel(0x10000);
        _guest.Map(0x11000, Text + 0x1000, TextTarget + 0x1000);
        Assert.Equal(Expected, LayoutObserver.Read(_guest, cr3, Symbols));
    }

    [Fact]
    public void Tables_that_hold_no_kernel_are_no_layout()
    {
        _guest.Map(0x11000, 0x400000, 0x1000);
        Assert.Equal(ObservationErrors.NoKernel, Assert.Throws<KaslrMtException>(() => LayoutObserver.Read(_guest, 0x11000, Symbols)).Code);
    }

    private static ObservedLayout Expected => new(
        new PhysicalAddress(TextTarget),
        new VirtualAddress(Text),
        new VirtualAddress(Physmap),
        new VirtualAddress(Vmalloc),
        new VirtualAddress(Vmemmap),
        new VirtualAddress(0xffffffffc0123000));

    private void MapKernel(ulong root)
    {
        _guest.Map(root, Text, TextTarget);
        _guest.Map(root, Physmap, 0);
        _guest.Map(root, Vmalloc + 0x5000, 0x3000);
        _guest.Map(root, Vmemmap, 0x4000);
        _guest.SetWord(TextTarget + 0x100, Vmalloc);
        _guest.SetWord(TextTarget + 0x108, 0xffffffffc0123000);
    }
}

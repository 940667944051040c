namespace KaslrMt.Layout.Tests;

/// <summary>The last value that is taken and the first that is not: an image's and a guest's numbers are hostile, and one too many is a kernel over something else.</summary>
public sealed class BoundaryTests
{
    private const ulong Limit = 1UL << 52;

    private static readonly VirtualAddress Link = new(0xffff_ffff_8100_0000);
    private static readonly VirtualAddress Modules = new(0xffff_ffff_c000_0000);
    private static readonly VirtualAddress Map = new(0xffff_ffff_8000_0000);
    private static readonly PhysicalAddress Preferred = new(0x100_0000);

    [Fact]
    public void A_kernels_numbers_are_taken_up_to_their_bounds()
    {
        Assert.Equal(2u << 20, KernelGeometry.Usual(1).Alignment);
        Assert.Equal(16u << 20, KernelGeometry.Usual(1, 16 << 20).Alignment);
        var first = new KernelGeometry(Map, 1, 2 << 20, new PhysicalAddress(ByteSize.GiB), new VirtualAddress(0xffff_ffff_feff_f000));
        Assert.Equal((Map, ByteSize.GiB, 0xffff_ffff_feff_f000), (first.LinkBase, first.PreferredPhysical.Value, first.ModulesStart.Value));
        Assert.Equal(ByteSize.GiB, new KernelGeometry(Map, ByteSize.GiB, 2 << 20, Preferred, Modules).ImageSize);
        Refused(() => new KernelGeometry(Map, ByteSize.GiB + 1, 2 << 20, Preferred, new VirtualAddress(0xffff_ffff_feff_f000)));
        Refused(() => new KernelGeometry(Link, 1, 2 << 20, new PhysicalAddress(ByteSize.GiB + (2 << 20)), Modules));
        Refused(() => new KernelGeometry(Link, 1, 2 << 20, Preferred, new VirtualAddress(0xffff_ffff_ff00_0000)));
        Refused(() => new KernelGeometry(Map - (2 << 20), 1, 2 << 20, Preferred, Modules));
    }

    [Fact]
    public void A_kernel_that_just_fits_has_one_virtual_base()
    {
        var kernel = new KernelGeometry(Link, 2 << 20, 2 << 20, Preferred, Link + (2 << 20));
        Assert.Equal((1UL, 2UL << 20), (kernel.VirtualSlots, kernel.MappedSize));
        SampleVms.Fails(LayoutErrors.KernelTooLarge, () => _ = new KernelGeometry(Link, (2 << 20) + 1, 2 << 20, Preferred, Link + (2 << 20)));
    }

    [Fact]
    public void Memory_reaches_up_to_2_to_the_52_in_128_ranges_that_may_touch()
    {
        Assert.Equal(Limit, new GuestMemoryMap([SampleVms.Range(0, Limit)], []).RamEnd.Value);
        Assert.Equal(0x1000UL, new GuestMemoryMap([SampleVms.Range(0, 0x1000)], [SampleVms.Range(Limit, 0)]).RamEnd.Value);
        PhysicalRange[] touching = [.. Enumerable.Range(0, 128).Select(i => SampleVms.Range((ulong)i * 0x1000, 0x1000))];
        var map = new GuestMemoryMap(touching, touching);
        Assert.Equal(touching, map.Ram.AsEnumerable());
        Assert.Equal([SampleVms.Range(0, 0x80000)], map.Reserved.AsEnumerable());
        Assert.Empty(map.Free());
    }

    [Fact]
    public void What_is_reserved_is_cut_out_of_each_ram_range_to_the_byte()
    {
        var map = new GuestMemoryMap(
            [SampleVms.Range(0x1000, 0x1000), SampleVms.Range(0x3000, 0x1000), SampleVms.Range(0x5000, 0x1000)],
            [SampleVms.Range(0, 0x1001), SampleVms.Range(0x1fff, 0x1002), SampleVms.Range(0x3fff, 1), SampleVms.Range(0x6000, 0x1000)]);
        Assert.Equal([SampleVms.Range(0x1001, 0xffe), SampleVms.Range(0x3001, 0xffe), SampleVms.Range(0x5000, 0x1000)], map.Free());
    }

    [Fact]
    public void A_reserved_range_inside_another_hides_none_of_it()
    {
        var map = new GuestMemoryMap([SampleVms.Range(0, 0x9000)], [SampleVms.Range(0x1000, 0x4000), SampleVms.Range(0x2000, 0x1000), SampleVms.Range(0x5000, 0x1000)]);
        Assert.Equal([SampleVms.Range(0x1000, 0x5000)], map.Reserved.AsEnumerable());
        Assert.Equal([SampleVms.Range(0, 0x1000), SampleVms.Range(0x6000, 0x3000)], map.Free());
    }

    [Fact]
    public void A_window_at_the_end_of_the_address_space_is_sound()
    {
        Assert.True(new KaslrConfig(ulong.MaxValue - 0x1fff, 0x1000, 0x1000, KaslrFlags.None).IsSound);
        var window = new RegionWindow(Region.Modules, new KaslrConfig(0x1000, 0x1000, 0x1000, KaslrFlags.None), new KaslrConfig(0x2000, 0x1000, 0x1000, KaslrFlags.None));
        Assert.Equal((2UL, 0x1000UL, 0x2000UL), (window.Slots, window.BaseOf(0), window.BaseOf(1)));
        Assert.Equal("the region has no such slot (Parameter 'slot')", Assert.Throws<ArgumentOutOfRangeException>(() => window.BaseOf(2)).Message);
        Assert.Equal(
            "the windows of modules are unsound; this is a fault of kaslrmt: report it",
            SampleVms.Fails(LayoutErrors.LayoutUnsound, () => _ = new RegionWindow(Region.Modules, default(KaslrConfig))).Message);
    }

    [Fact]
    public void Physical_bases_are_counted_up_to_the_last_that_fits()
    {
        KernelGeometry kernel = KernelGeometry.Usual(4 << 20);
        Assert.Equal(1UL, Slots(kernel, 16 << 20, 4 << 20));
        Assert.Equal(2UL, Slots(kernel, 16 << 20, 6 << 20));
        Assert.Equal(1UL, Slots(kernel, 16 << 20, (6 << 20) - 1));
        SampleVms.Fails(LayoutErrors.NoPhysicalSlot, () => Slots(kernel, 16 << 20, (4 << 20) - 1));
        SampleVms.Fails(LayoutErrors.NoPhysicalSlot, () => Slots(kernel, (16 << 20) + 1, 1 << 20));
        var preferred = new KernelGeometry(Link, 4 << 20, 2 << 20, new PhysicalAddress(32 << 20), Modules);
        KaslrConfig window = AvailableRanges.KernelPhysical(preferred, Ram(0, 64 << 20), Scope.PerTenant)[0];
        Assert.Equal((32UL << 20, KaslrFlags.PerTenant | KaslrFlags.Physical), (window.BaseOffset, window.Flags));
    }

    [Fact]
    public void The_link_layout_fits_into_exactly_its_own_range()
    {
        KernelGeometry kernel = KernelGeometry.Usual(4 << 20);
        using KernelLayout layout = LayoutPlanner.PlanLink(kernel, Ram(16 << 20, 4 << 20));
        Assert.Equal("111111", layout.Policy.ToString());
        Assert.All(layout.Regions, region => Assert.Equal(Scope.PerTenant, region.Scope));
        Assert.All(layout.Regions, region => Assert.True(region.Window.Windows[0].Flags.HasFlag(KaslrFlags.Link)));
        Assert.Equal(KaslrFlags.Link | KaslrFlags.Physical, layout[Region.KernelPhysical].Window.Windows[0].Flags);
        SampleVms.Fails(LayoutErrors.LinkAddressTaken, () => LayoutPlanner.PlanLink(kernel, Ram(16 << 20, (4 << 20) - 1)));
        SampleVms.Fails(LayoutErrors.LinkAddressTaken, () => LayoutPlanner.PlanLink(kernel, Ram((16 << 20) + 1, 8 << 20)));
        Assert.Throws<ArgumentOutOfRangeException>(() => layout[(Region)6]);
        Assert.Throws<ArgumentOutOfRangeException>(() => layout[(Region)(-1)]);
    }

    private static GuestMemoryMap Ram(ulong start, ulong length) => new([SampleVms.Range(start, length)], []);

    private static ulong Slots(KernelGeometry kernel, ulong start, ulong length) =>
        new RegionWindow(Region.KernelPhysical, AvailableRanges.KernelPhysical(kernel, Ram(start, length), Scope.PerVm)).Slots;

    private static void Refused(Func<KernelGeometry> kernel) => SampleVms.Fails(LayoutErrors.GeometryInvalid, () => kernel());
}

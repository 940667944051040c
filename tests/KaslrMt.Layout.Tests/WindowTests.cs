using FsCheck;
using FsCheck.Fluent;

namespace KaslrMt.Layout.Tests;

public class WindowTests
{
    private const ulong TiB = ByteSize.TiB;
    private const ulong GiB = ByteSize.GiB;

    [Fact]
    public void The_three_regions_share_117_and_a_half_TiB()
    {
        Assert.Equal(117 * TiB + TiB / 2, AddressSpace.End - AddressSpace.Start);
        Assert.Equal(0xffff_a880_0000_0000, AddressSpace.LowestVmalloc.Value);
        Assert.Equal(0xffff_dd00_0000_0000, AddressSpace.LowestVmemmap.Value);
    }

    [Fact]
    public void Vmemmap_has_32768_slots_from_33_TiB_to_1_TiB_and_a_guard_below_the_end()
    {
        KaslrConfig window = AvailableRanges.Vmemmap(Scope.PerTenant);
        Assert.Equal(32768UL, window.Slots);
        Assert.Equal(AddressSpace.End.Value - 33 * TiB, window.BaseOf(0));
        Assert.Equal(AddressSpace.End.Value - TiB - GiB, window.BaseOf(32767));
        Assert.Equal(KaslrFlags.PerTenant, window.Flags);
    }

    [Fact]
    public void Vmalloc_has_20992_to_53759_slots()
    {
        KaslrConfig lowest = AvailableRanges.Vmalloc(default, AddressSpace.LowestVmemmap);
        KaslrConfig highest = AvailableRanges.Vmalloc(default, AddressSpace.End - TiB - GiB);
        Assert.Equal((20992UL, 53759UL), (lowest.Slots, highest.Slots));
        Assert.All((KaslrConfig[])[lowest, highest], window => Assert.Equal(AddressSpace.Start.Value + 32 * TiB, window.BaseOffset));
    }

    [Theory]
    [InlineData(1, 21504)] // one GiB of RAM: 11 TiB of direct map
    [InlineData(1024, 21504)]
    [InlineData(1025, 20480)]
    [InlineData(15 * 1024, 7168)]
    public void Physmap_never_has_fewer_slots_than_the_stock_kernels_6998(int ramGiB, int slots)
    {
        var memory = new GuestMemoryMap([SampleVms.Range(0, (ulong)ramGiB * GiB)], []);
        Assert.Equal((ulong)slots, AvailableRanges.Physmap(default, AddressSpace.LowestVmalloc, memory).Slots);
        Assert.True(slots >= 6998);
    }

    [Theory]
    [InlineData(1, 11)]
    [InlineData(1023, 11)]
    [InlineData(1024, 11)]
    [InlineData(1025, 12)]
    public void The_direct_map_is_the_end_of_ram_in_whole_TiB_and_10_TiB(int ramGiB, int directTiB) =>
        Assert.Equal((ulong)directTiB * TiB, new GuestMemoryMap([SampleVms.Range(0, (ulong)ramGiB * GiB)], []).DirectMapSize);

    [Theory]
    [InlineData(53_243_444, 2, 479)]
    [InlineData(57_575_404, 2, 477)]
    [InlineData(57_575_404, 4, 239)]
    [InlineData(57_575_404, 16, 60)]
    [InlineData(1, 2, 504)]
    [InlineData(1008 << 20, 2, 1)]
    public void Kernel_virtual_has_as_many_slots_as_the_stock_kernel(int imageSize, int alignmentMiB, int slots)
    {
        var kernel = KernelGeometry.Usual((ulong)imageSize, (uint)alignmentMiB << 20);
        KaslrConfig window = AvailableRanges.KernelVirtual(kernel, Scope.PerVm);
        Assert.Equal((ulong)slots, window.Slots);
        Assert.Equal(0xffff_ffff_8100_0000, window.BaseOf(0));
        Assert.True(window.BaseOf(window.Slots - 1) + (ulong)imageSize <= 0xffff_ffff_c000_0000);
        Assert.True(window.BaseOf(window.Slots - 1) + kernel.MappedSize + kernel.Alignment > 0xffff_ffff_c000_0000);
    }

    [Fact]
    public void Modules_start_1_to_1024_pages_above_their_area()
    {
        KaslrConfig window = AvailableRanges.Modules(SampleVms.Kernel61, Scope.PerVm);
        Assert.Equal((1024UL, 0xffff_ffff_c000_1000, 0xffff_ffff_c040_0000), (window.Slots, window.BaseOf(0), window.BaseOf(1023)));
    }

    [Fact]
    public void Kernel_physical_has_exactly_the_aligned_bases_that_a_search_through_all_ram_finds()
    {
        Prop.ForAll(SampleMaps.Arbitrary(), SampleMaps.Kernels(), (memory, kernel) =>
        {
            var expected = new List<ulong>();
            for (ulong at = 16 * ByteSize.MiB; at < memory.RamEnd.Value; at += ByteSize.MiB)
            {
                ulong end = at + kernel.MappedSize;
                if (at % kernel.Alignment == 0
                    && memory.Ram.Any(ram => ram.Start.Value <= at && end <= ram.End.Value)
                    && !memory.Reserved.Any(taken => taken.Start.Value < end && at < taken.End.Value))
                {
                    expected.Add(at);
                }
            }

            if (expected.Count == 0)
            {
                Assert.Throws<KaslrMtException>(() => AvailableRanges.KernelPhysical(kernel, memory, Scope.PerVm));
                Assert.Equal(0UL, StockKaslr.PhysicalSlots(kernel, memory));
                return;
            }

            var window = new RegionWindow(Region.KernelPhysical, AvailableRanges.KernelPhysical(kernel, memory, Scope.PerVm));
            Assert.Equal(expected, Enumerable.Range(0, (int)window.Slots).Select(slot => window.BaseOf((ulong)slot)));
            Assert.All(expected, at => Assert.True(window.Contains(at) && !window.Contains(at + 4096)));
            Assert.Throws<ArgumentOutOfRangeException>(() => window.BaseOf(window.Slots));
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(300));
    }

    [Fact]
    public void Kernel_physical_reaches_above_4_GiB()
    {
        var window = new RegionWindow(Region.KernelPhysical,
            AvailableRanges.KernelPhysical(SampleVms.Kernel61, SampleVms.Pc(16 * GiB), Scope.PerVm));
        Assert.True(window.BaseOf(window.Slots - 1) > 16 * GiB);
        Assert.True(Enumerable.Range(0, (int)window.Slots).Count(slot => window.BaseOf((ulong)slot) >= 4 * GiB) > 6000);
    }

    [Fact]
    public void Too_little_memory_too_much_memory_and_an_initrd_that_leaves_no_room_are_memory_errors()
    {
        KaslrMtException small = SampleVms.Fails(LayoutErrors.NoPhysicalSlot, () =>
            SampleVms.Plan(Policy.Default, memory: SampleVms.Pc(64 * ByteSize.MiB)));
        Assert.Contains("52 MiB", small.Problem, StringComparison.Ordinal);
        SampleVms.Fails(LayoutErrors.NoPhysicalSlot, () =>
            SampleVms.Plan(Policy.Default, memory: SampleVms.Pc(128 * ByteSize.MiB, initrd: 90 * ByteSize.MiB)));
        KaslrMtException large = SampleVms.Fails(LayoutErrors.MemoryTooLarge, () =>
            SampleVms.Plan(Policy.Default, memory: SampleVms.Pc(15 * TiB)));
        Assert.Equal(ErrorCategory.Memory, large.Category);
        using KernelLayout largest = SampleVms.Plan(Policy.Default, memory: SampleVms.Pc(15 * TiB - GiB));
        Assert.Equal(25 * TiB, largest.DirectMapSize);
    }

    [Fact]
    public void Windows_know_their_slots_and_refuse_what_they_do_not_hold()
    {
        var window = new KaslrConfig(0x1000, 0x3000, 0x1000, KaslrFlags.None);
        Assert.Equal(3UL, window.Slots);
        Assert.True(window.IsSound
            && window.Contains(0x3000) && !window.Contains(0x4000) && !window.Contains(0x1001) && !window.Contains(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => window.BaseOf(3));
        Assert.Equal(0UL, default(KaslrConfig).Slots);
        Assert.False(default(KaslrConfig).IsSound);
        Assert.False(new KaslrConfig(0x1000, 0x3001, 0x1000, KaslrFlags.None).IsSound);
        Assert.False(new KaslrConfig(0x800, 0x1000, 0x1000, KaslrFlags.None).IsSound);
        Assert.False(new KaslrConfig(ulong.MaxValue - 0xfff, 0x2000, 0x1000, KaslrFlags.None).IsSound);
        Assert.False(new KaslrConfig(0x3000, 0x3000, 0x3000, KaslrFlags.None).IsSound);
        SampleVms.Fails(LayoutErrors.LayoutUnsound, () => _ = new RegionWindow(Region.Physmap, window, window));
    }
}

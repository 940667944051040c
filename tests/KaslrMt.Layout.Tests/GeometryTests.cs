using FsCheck;
using FsCheck.Fluent;

namespace KaslrMt.Layout.Tests;

public class GeometryTests
{
    private static readonly VirtualAddress LinkBase = new(0xffff_ffff_8100_0000);
    private static readonly VirtualAddress ModulesStart = new(0xffff_ffff_c000_0000);
    private static readonly PhysicalAddress Preferred = new(0x100_0000);

    [Theory]
    [InlineData(0u)]
    [InlineData(1u << 20)]
    [InlineData(3u << 20)]
    [InlineData(32u << 20)]
    [InlineData(uint.MaxValue)]
    public void Alignments_that_no_kernel_has_are_refused(uint alignment) =>
        SampleVms.Fails(LayoutErrors.GeometryInvalid, () => KernelGeometry.Usual(50_000_000, alignment));

    [Fact]
    public void Sizes_and_addresses_that_no_kernel_has_are_refused()
    {
        SampleVms.Fails(LayoutErrors.GeometryInvalid, () => KernelGeometry.Usual(0));
        SampleVms.Fails(LayoutErrors.GeometryInvalid, () => KernelGeometry.Usual(ulong.MaxValue));
        SampleVms.Fails(LayoutErrors.KernelTooLarge, () => KernelGeometry.Usual((1008 << 20) + 1));
        Refused(LinkBase + 4096, Preferred, ModulesStart);
        Refused(new VirtualAddress(0x100_0000), Preferred, ModulesStart);
        Refused(ModulesStart, Preferred, ModulesStart);
        Refused(LinkBase, new PhysicalAddress(0), ModulesStart);
        Refused(LinkBase, new PhysicalAddress(0x100_1000), ModulesStart);
        Refused(LinkBase, new PhysicalAddress(1UL << 40), ModulesStart);
        Refused(LinkBase, Preferred, ModulesStart + 1);
        Refused(LinkBase, Preferred, new VirtualAddress(ulong.MaxValue));
        Refused(LinkBase, Preferred, new VirtualAddress(0));
    }

    [Fact]
    public void Any_numbers_give_a_geometry_that_can_be_planned_or_a_numbered_error()
    {
        Gen<ulong> numbers = Gen.OneOf(
            Gen.Choose(0, int.MaxValue).Select(value => (ulong)value),
            Gen.Choose(0, 1024).Select(value => 0xffff_ffff_8000_0000 + ((ulong)value << 20)),
            Gen.Choose(0, int.MaxValue).Select(value => ulong.MaxValue - (ulong)value),
            Gen.Elements<ulong>(0UL, 1, 0x100_0000, 0x20_0000, ulong.MaxValue));
        Arbitrary<uint> alignments = Gen.Elements(0u, 1u, 2u << 20, 4u << 20, 16u << 20, uint.MaxValue).ToArbitrary();
        Prop.ForAll(numbers.ArrayOf(4).ToArbitrary(), alignments, (n, alignment) =>
        {
            try
            {
                var kernel = new KernelGeometry(
                    new VirtualAddress(n[0]), n[1], alignment, new PhysicalAddress(n[2]), new VirtualAddress(n[3]));
                SampleVms.Plan(Policy.Default, kernel: kernel, memory: SampleVms.Pc(16 * ByteSize.GiB)).Dispose();
                StockKaslr.PhysicalSlots(kernel, SampleVms.Pc(16 * ByteSize.GiB));
                return true;
            }
            catch (KaslrMtException failure)
            {
                return failure.Code.Number is >= 1201 and <= 1204;
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(5000));
    }

    [Fact]
    public void Memory_maps_are_sorted_merged_and_measured()
    {
        var map = new GuestMemoryMap(
            [SampleVms.Range(0x10_0000, 0x70_0000), SampleVms.Range(0, 0x9_fc00), SampleVms.Range(0x100_0000, 0)],
            [SampleVms.Range(0x30_0000, 0x10_0000), SampleVms.Range(0x20_0000, 0x10_0000), SampleVms.Range(0x28_0000, 0x1000), default]);
        Assert.Equal([SampleVms.Range(0, 0x9_fc00), SampleVms.Range(0x10_0000, 0x70_0000)], map.Ram.AsEnumerable());
        Assert.Equal([SampleVms.Range(0x20_0000, 0x20_0000)], map.Reserved.AsEnumerable());
        PhysicalRange[] free =
            [SampleVms.Range(0, 0x9_fc00), SampleVms.Range(0x10_0000, 0x10_0000), SampleVms.Range(0x40_0000, 0x40_0000)];
        Assert.Equal(free, map.Free());
        Assert.Equal(0x80_0000UL, map.RamEnd.Value);
        Assert.Equal(0x79_fc00UL, map.RamSize.Bytes);
    }

    [Fact]
    public void Impossible_memory_maps_are_refused()
    {
        Impossible([], []);
        Impossible([SampleVms.Range(0, 0)], []);
        Impossible([SampleVms.Range(0, 0x2000), SampleVms.Range(0x1000, 0x2000)], []);
        Impossible([SampleVms.Range(0x1000, ulong.MaxValue)], []);
        Impossible([SampleVms.Range(ulong.MaxValue, 1)], []);
        Impossible([SampleVms.Range(0, 0x1000)], [SampleVms.Range(1UL << 52, 1)]);
        Impossible(Endless(), []);
        Impossible([SampleVms.Range(0, 0x1000)], Endless());
    }

    [Fact]
    public void Nokaslr_means_the_link_layout()
    {
        using KernelLayout layout = LayoutPlanner.PlanLink(SampleVms.Kernel61, SampleVms.Pc(512 * ByteSize.MiB));
        Assert.True(layout.IsLink);
        Assert.Equal(0x100_0000UL, layout.KernelPhysical.Value);
        Assert.Equal(0xffff_ffff_8100_0000, layout.KernelVirtual.Value);
        Assert.Equal(0xffff_8880_0000_0000, layout.Physmap.Value);
        Assert.Equal(0xffff_c900_0000_0000, layout.Vmalloc.Value);
        Assert.Equal(0xffff_ea00_0000_0000, layout.Vmemmap.Value);
        Assert.Equal(0xffff_ffff_c000_0000, layout.Modules.Value);
        Assert.Equal(64 * ByteSize.TiB, layout.DirectMapSize);
        Assert.All(layout.Regions, region => Assert.Equal((1UL, 0.0), (region.Slots, region.EntropyBits)));
    }

    [Fact]
    public void Nokaslr_fails_where_the_preferred_address_is_taken()
    {
        GuestMemoryMap taken = new([SampleVms.Range(0, ByteSize.GiB)], [SampleVms.Range(0x200_0000, 0x1000)]);
        SampleVms.Fails(LayoutErrors.LinkAddressTaken, () => LayoutPlanner.PlanLink(SampleVms.Kernel61, taken));
        SampleVms.Fails(LayoutErrors.LinkAddressTaken, () => LayoutPlanner.PlanLink(SampleVms.Kernel61, SampleVms.Pc(64 * ByteSize.MiB)));
    }

    private static void Refused(VirtualAddress linkBase, PhysicalAddress preferred, VirtualAddress modules) =>
        SampleVms.Fails(LayoutErrors.GeometryInvalid, () => _ = new KernelGeometry(linkBase, 50_000_000, 2 << 20, preferred, modules));

    private static void Impossible(IEnumerable<PhysicalRange> ram, IEnumerable<PhysicalRange> reserved) =>
        SampleVms.Fails(LayoutErrors.MemoryMapInvalid, () => _ = new GuestMemoryMap(ram, reserved));

    private static IEnumerable<PhysicalRange> Endless()
    {
        for (ulong start = 0; ; start += 0x1000)
        {
            yield return SampleVms.Range(start, 0x1000);
        }
    }
}

namespace KaslrMt.Layout.Tests;

/// <summary>The check before use catches what a broken window or producer could do.</summary>
public class AlignmentCheckTests
{
    private static readonly GuestMemoryMap Memory = SampleVms.Pc(512 * ByteSize.MiB);

    [Fact]
    public void A_producer_that_leaves_the_window_is_caught()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => SampleVms.Plan(Policy.All[^1], producer: new Astray()));
    }

    [Theory]
    [InlineData(Region.KernelPhysical, 0x0040_0000UL)] // below 16 MiB
    [InlineData(Region.KernelPhysical, 0x1fc0_0000UL)] // on the initrd and beyond RAM
    [InlineData(Region.KernelPhysical, 0x1010_0000UL)] // not a multiple of 2 MiB
    [InlineData(Region.KernelVirtual, 0xffff_ffff_8000_0000UL)]
    [InlineData(Region.KernelVirtual, 0xffff_ffff_be00_0000UL)] // runs into the modules
    [InlineData(Region.KernelVirtual, 0xffff_ffff_8110_0000UL)]
    [InlineData(Region.Physmap, 0xffff_8000_0000_0000UL)]
    [InlineData(Region.Physmap, 0xffff_fd00_0000_0000UL)] // above vmalloc
    [InlineData(Region.Vmalloc, 0xffff_dd00_0000_0000UL)] // into vmemmap
    [InlineData(Region.Vmalloc, 0xffff_a880_2000_0000UL)]
    [InlineData(Region.Vmemmap, 0xffff_fd00_0000_0000UL)] // no guard below the end
    [InlineData(Region.Modules, 0xffff_ffff_c000_0000UL)]
    [InlineData(Region.Modules, 0xffff_ffff_c040_1000UL)]
    [InlineData(Region.Modules, 0xffff_ffff_c000_1800UL)]
    public void A_base_out_of_place_is_caught_and_not_shown(Region region, ulong address)
    {
        using KernelLayout sound = SampleVms.Plan(Policy.Default, memory: Memory);
        AlignmentCheck.Verify(sound.Regions.AsSpan(), SampleVms.Kernel61, Memory);
        RegionLayout[] broken = [.. sound.Regions];
        uint alignment = (uint)Math.Min(address & (~address + 1), 1UL << 20);
        var window = new RegionWindow(region, new KaslrConfig(address, alignment, alignment, KaslrFlags.None));
        broken[(int)region] = new RegionLayout(region, Scope.PerVm, address, Slot: 0, window);
        KaslrMtException failure = SampleVms.Fails(LayoutErrors.LayoutUnsound, () =>
            AlignmentCheck.Verify(broken, SampleVms.Kernel61, Memory));
        Assert.DoesNotContain("0x", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_base_that_is_not_its_slots_is_caught()
    {
        using KernelLayout sound = SampleVms.Plan(Policy.Default, memory: Memory);
        RegionLayout[] broken = [.. sound.Regions];
        broken[(int)Region.Modules] = broken[(int)Region.Modules] with { Slot = (broken[(int)Region.Modules].Slot + 1) % 1024 };
        SampleVms.Fails(LayoutErrors.LayoutUnsound, () => AlignmentCheck.Verify(broken, SampleVms.Kernel61, Memory));
    }

    private sealed class Astray : IAddressProducer
    {
        public string Name => "astray";

        public ulong DrawSlot(TenantKey key, Region region, ulong slots) => slots;
    }
}

using FsCheck;
using FsCheck.Fluent;

namespace KaslrMt.Layout.Tests;

/// <summary>What holds for every layout, whatever the policy, the secrets, the kernel and the memory.</summary>
public class LayoutInvariantTests
{
    private static readonly Config Thorough = Config.QuickThrowOnFailure.WithMaxTest(3000);

    [Fact]
    public void Regions_keep_their_order_do_not_overlap_and_stay_a_guard_apart()
    {
        ForEveryLayout((layout, _, memory) =>
        {
            Assert.True(layout.Physmap >= AddressSpace.Start);
            Assert.True(layout.Physmap + memory.DirectMapSize + ByteSize.GiB <= layout.Vmalloc);
            Assert.True(layout.Vmalloc + 32 * ByteSize.TiB + ByteSize.GiB <= layout.Vmemmap);
            Assert.True(layout.Vmemmap + ByteSize.TiB + ByteSize.GiB <= AddressSpace.End);
            Assert.Equal(memory.DirectMapSize, layout.DirectMapSize);
        });
    }

    [Fact]
    public void The_kernel_lies_in_free_ram_and_below_the_modules()
    {
        ForEveryLayout((layout, kernel, memory) =>
        {
            PhysicalAddress end = layout.KernelPhysical + kernel.ImageSize;
            Assert.True(layout.KernelPhysical.Value >= 16 * ByteSize.MiB);
            Assert.Contains(memory.Ram, ram => ram.Start <= layout.KernelPhysical && end <= ram.End);
            Assert.DoesNotContain(memory.Reserved, taken => taken.Start < end && layout.KernelPhysical < taken.End);
            Assert.True(layout.KernelVirtual >= kernel.LinkBase);
            Assert.True(layout.KernelVirtual + kernel.ImageSize <= kernel.ModulesStart);
            Assert.InRange(layout.Modules - kernel.ModulesStart, 4096UL, 1024 * 4096UL);
        });
    }

    [Fact]
    public void Bases_are_aligned_are_their_slots_and_lie_inside_their_windows()
    {
        ForEveryLayout((layout, kernel, _) =>
        {
            Assert.Equal(0UL, layout.KernelPhysical.Value % kernel.Alignment);
            Assert.Equal(0UL, layout.KernelVirtual.Value % kernel.Alignment);
            Assert.Equal(0UL, (layout.Physmap.Value | layout.Vmalloc.Value | layout.Vmemmap.Value) % ByteSize.GiB);
            Assert.Equal(0UL, layout.Modules.Value % 4096);
            Assert.Equal(LayoutNames.Regions, layout.Regions.Select(region => region.Region));
            Assert.All(layout.Regions, region =>
            {
                Assert.True(region.Slot < region.Slots);
                Assert.True(region.Window.Contains(region.Base));
                Assert.Equal(region.Base, region.Window.BaseOf(region.Slot));
                Assert.Equal(Math.Log2(region.Slots), region.EntropyBits);
                Assert.Equal(layout.Policy.ScopeOf(region.Region), region.Scope);
                Assert.All(region.Window.Windows, window =>
                    Assert.Equal(region.Scope == Scope.PerTenant, window.Flags.HasFlag(KaslrFlags.PerTenant)));
            });
        });
    }

    [Fact]
    public void The_same_arguments_give_the_same_layout()
    {
        Prop.ForAll(Cases(), c =>
        {
            using KernelLayout one = SampleVms.Plan(c.Policy, c.Key, c.Seed, c.Memory, c.Kernel, c.Producer);
            using KernelLayout again = SampleVms.Plan(c.Policy, c.Key, c.Seed, c.Memory, c.Kernel, c.Producer);
            return one.Regions.Select(region => region.Base).SequenceEqual(again.Regions.Select(region => region.Base));
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void A_disposed_layout_shows_no_base()
    {
        KernelLayout layout = SampleVms.Plan(Policy.Default);
        layout.Dispose();
        Assert.Throws<ObjectDisposedException>(() => layout.Physmap);
        Assert.Throws<ObjectDisposedException>(() => layout.Regions);
        Assert.Throws<ObjectDisposedException>(() => layout[Region.Modules]);
    }

    private static void ForEveryLayout(Action<KernelLayout, KernelGeometry, GuestMemoryMap> holds) => Prop.ForAll(Cases(), c =>
    {
        using KernelLayout layout = SampleVms.Plan(c.Policy, c.Key, c.Seed, c.Memory, c.Kernel, c.Producer);
        holds(layout, c.Kernel, c.Memory);
    }).Check(Thorough);

    private static Arbitrary<Case> Cases() =>
        (from policy in Gen.Elements(Policy.All.ToArray())
         from key in Gen.Choose(0, int.MaxValue)
         from seed in Gen.Choose(0, int.MaxValue)
         from memory in Gen.OneOf(
             SampleMaps.Roomy().Generator,
             Gen.Choose(256, 1 << 20).Select(mib => SampleVms.Pc((ulong)mib * ByteSize.MiB)),
             Gen.Choose(1, 14).Select(tib => SampleVms.Pc((ulong)tib * ByteSize.TiB)))
         from kernel in SampleMaps.Kernels().Generator
         from producer in Gen.Elements(AddressProducers.All.ToArray())
         select new Case(policy, key, seed, memory, kernel, producer)).ToArbitrary();

    private sealed record Case(Policy Policy, int Key, int Seed, GuestMemoryMap Memory, KernelGeometry Kernel, IAddressProducer Producer);
}

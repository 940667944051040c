namespace KaslrMt.Layout.Tests;

/// <summary>A caller that passes nothing is told which argument is missing, before a secret is touched.</summary>
public sealed class MissingArgumentTests
{
    [Fact]
    public void The_missing_argument_is_named()
    {
        using TenantKey key = SampleVms.Key(1);
        using VmSeed seed = SampleVms.Seed(1);
        using DerivedSlots draws = DerivedSlots.Of([]);
        KernelGeometry kernel = SampleVms.Kernel61;
        GuestMemoryMap memory = SampleVms.Pc(ByteSize.GiB);
        IAddressProducer producer = AddressProducers.Default;
        (string Name, Action Call)[] calls =
        [
            ("kernel", () => LayoutPlanner.Plan(null!, memory, default, key, seed, producer)),
            ("memory", () => LayoutPlanner.Plan(kernel, null!, default, key, seed, producer)),
            ("producer", () => LayoutPlanner.Plan(kernel, memory, default, key, seed, null!)),
            ("draws", () => LayoutPlanner.Plan(kernel, memory, default, null!, seed)),
            ("kernel", () => LayoutPlanner.PlanLink(null!, memory)),
            ("memory", () => LayoutPlanner.PlanLink(kernel, null!)),
            ("kernel", () => KernelLayout.Link(null!)),
            ("kernel", () => LayoutEntropy.Of(null!, memory, default)),
            ("memory", () => LayoutEntropy.Of(kernel, null!, default)),
            ("kernel", () => StockKaslr.EntropyOf(null!, memory, StockDirectMap.ZoneDevice)),
            ("memory", () => StockKaslr.EntropyOf(kernel, null!, StockDirectMap.ZoneDevice)),
            ("kernel", () => StockKaslr.PhysicalSlots(null!, memory)),
            ("memory", () => StockKaslr.PhysicalSlots(kernel, null!)),
            ("ram", () => _ = new GuestMemoryMap(null!, [])),
            ("reserved", () => _ = new GuestMemoryMap([], null!)),
            ("layout", () => DerivedSlots.Of((KernelLayout)null!)),
            ("producer", () => draws.AreOf(key, null!)),
            ("other", () => key.Matches(null!)),
            ("key", () => AddressProducers.Default.DrawSlot(null!, Region.Modules, 1)),
            ("key", () => AddressProducers.Paper.DrawSlot(null!, Region.Modules, 1)),
        ];
        Assert.All(calls, call => Assert.Equal(call.Name, Assert.Throws<ArgumentNullException>(call.Call).ParamName));
    }

    [Fact]
    public void A_region_a_scope_or_slots_that_do_not_exist_are_refused()
    {
        using TenantKey key = SampleVms.Key(1);
        Action[] calls =
        [
            () => ((Region)6).Name(), () => ((Scope)2).Name(), () => HkdfDraw.Slot(key.Reveal(), (Scope)2, Region.Modules, 1),
            () => HkdfDraw.Slot(key.Reveal(), Scope.PerVm, (Region)6, 1), () => AddressProducers.Paper.DrawSlot(key, (Region)6, 1),
            () => AddressProducers.Paper.DrawSlot(key, Region.Modules, 0), () => AddressProducers.Default.DrawSlot(key, Region.Modules, 0),
        ];
        Assert.All(calls, call => Assert.Throws<ArgumentOutOfRangeException>(call));
    }
}

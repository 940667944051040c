namespace KaslrMt.Layout.Tests;

/// <summary>A VM that boots again without its tenant's key gets what the key would give, or an error: never something else.</summary>
public class DerivedSlotsTests
{
    [Fact]
    public void Draws_give_the_layout_that_the_key_gives_whatever_policy_and_producer()
    {
        foreach (IAddressProducer producer in AddressProducers.All)
        {
            foreach (Policy policy in Policy.All)
            {
                using KernelLayout first = SampleVms.Plan(policy, key: 3, seed: 1, producer: producer);
                using DerivedSlots draws = DerivedSlots.Of(first);
                using VmSeed seed = SampleVms.Seed(2);
                using KernelLayout withKey = SampleVms.Plan(policy, key: 3, seed: 2, producer: producer);
                using KernelLayout without = LayoutPlanner.Plan(SampleVms.Kernel61, SampleVms.Pc(512 * ByteSize.MiB), policy, draws, seed);
                Assert.Equal(withKey.Regions.Select(region => region.Base), without.Regions.Select(region => region.Base));
            }
        }
    }

    [Fact]
    public void Another_kernel_or_memory_needs_the_key_where_a_tenants_base_depends_on_it()
    {
        Policy all = Policy.All[^1];
        using KernelLayout first = SampleVms.Plan(all, key: 3);
        using DerivedSlots draws = DerivedSlots.Of(first);
        Assert.Equal(LayoutErrors.DrawUnknown, Refused(SampleVms.Kernel612, SampleVms.Pc(512 * ByteSize.MiB)));
        Assert.Equal(LayoutErrors.DrawUnknown, Refused(SampleVms.Kernel61, SampleVms.Pc(2 * ByteSize.GiB)));

        ErrorCode Refused(KernelGeometry kernel, GuestMemoryMap memory) =>
            Assert.Throws<KaslrMtException>(() => LayoutPlanner.Plan(kernel, memory, all, draws, null)).Code;
    }

    [Fact]
    public void Draws_know_their_key_and_show_nothing()
    {
        using KernelLayout layout = SampleVms.Plan(Policy.Default, key: 3);
        using DerivedSlots draws = DerivedSlots.Of(layout);
        using TenantKey right = SampleVms.Key(3), wrong = SampleVms.Key(4);
        Assert.True(draws.AreOf(right, AddressProducers.Default));
        Assert.False(draws.AreOf(wrong, AddressProducers.Default));
        Assert.False(draws.AreOf(right, AddressProducers.Paper));
        Assert.Equal("DerivedSlots", draws.ToString());
        Assert.Equal("modules", new DerivedSlots.Draw(Region.Modules, 17, 1024).ToString());
    }

    [Fact]
    public void What_was_kept_badly_is_no_draw()
    {
        using DerivedSlots draws = DerivedSlots.Of([new(Region.Modules, 1024, 1024), new((Region)99, 0, 1), new(Region.Vmemmap, 5, 0)]);
        using VmSeed seed = SampleVms.Seed(1);
        Assert.Equal(LayoutErrors.DrawUnknown, Assert.Throws<KaslrMtException>(
            () => LayoutPlanner.Plan(SampleVms.Kernel61, SampleVms.Pc(512 * ByteSize.MiB), Policy.Default, draws, seed)).Code);
    }
}

using System.Collections.Immutable;
using KaslrMt.Layout;

namespace KaslrMt.Guests.Tests;

/// <summary>What a tenant's VMs must share is shared, and what each must have for itself is not; chance is no breach.</summary>
public sealed class PolicyComparisonTests
{
    [Fact]
    public void VMs_that_share_their_tenants_bases_and_nothing_else_keep_the_promise() =>
        Assert.Empty(PolicyComparison.Violations([Vm("a"), Vm("b", own: 1), Vm("c", own: 2)]));

    [Fact]
    public void One_or_no_VM_breaks_nothing()
    {
        Assert.Empty(PolicyComparison.Violations([]));
        Assert.Empty(PolicyComparison.Violations([Vm("a")]));
    }

    [Theory]
    [InlineData(Region.KernelVirtual)]
    [InlineData(Region.Vmemmap)]
    [InlineData(Region.Modules)]
    public void A_shared_base_that_differs_is_named_with_all_VMs_concerned(Region region)
    {
        PolicyViolation breach = Assert.Single(PolicyComparison.Violations([Vm("a"), Vm("b", own: 1), Moved(Vm("c", own: 2), region)]));
        Assert.Equal((region, ViolationKind.NotShared), (breach.Region, breach.Kind));
        Assert.Equal("a b c", string.Join(' ', breach.Vms));
    }

    [Fact]
    public void Two_kernels_with_different_windows_and_two_generations_are_not_compared()
    {
        PlacedVm other = Vm("b", own: 1);
        ImmutableArray<PlacedRegion> rows = [.. Moved(other, Region.KernelVirtual).Regions.Select(row => row.Region == Region.KernelVirtual ? row with { Slots = 477 } : row)];
        Assert.Empty(PolicyComparison.Violations([Vm("a"), other with { Regions = rows }]));
        Assert.Empty(PolicyComparison.Violations([Vm("a") with { Generation = 1 }, Moved(other, Region.Vmemmap) with { Generation = 2 }]));
    }

    [Theory]
    [InlineData(Region.Physmap)]
    [InlineData(Region.Vmalloc)]
    public void A_base_of_ones_own_that_another_VM_has_too_is_a_breach(Region region)
    {
        PlacedVm first = Vm("a");
        PlacedVm second = Vm("b", own: 1);
        ImmutableArray<PlacedRegion> rows = [.. second.Regions.Select(row => row.Region == region ? first.Regions.Single(other => other.Region == region) : row)];
        PolicyViolation breach = Assert.Single(PolicyComparison.Violations([first, second with { Regions = rows }, Vm("c", own: 2)]));
        Assert.Equal((region, ViolationKind.NotSeparate), (breach.Region, breach.Kind));
        Assert.Equal("a b", string.Join(' ', breach.Vms));
    }

    [Fact]
    public void One_equal_physical_slot_of_two_hundred_is_chance_and_three_VMs_in_one_slot_are_not()
    {
        static PlacedVm At(string name, int own, ulong slot) => Vm(name, own) with
        {
            Regions = [.. Vm(name, own).Regions.Select(row => row.Region == Region.KernelPhysical ? row with { Base = slot } : row)],
        };

        Assert.Empty(PolicyComparison.Violations([At("a", 1, 7), At("b", 2, 7), At("c", 3, 8)]));
        PolicyViolation breach = Assert.Single(PolicyComparison.Violations([At("a", 1, 7), At("b", 2, 7), At("c", 3, 7)]));
        Assert.Equal((Region.KernelPhysical, ViolationKind.NotSeparate), (breach.Region, breach.Kind));
    }

    [Fact]
    public void All_own_bases_equal_is_a_breach_even_where_each_alone_is_chance()
    {
        static PlacedVm Small(string name) => Vm(name) with { Regions = [.. Vm(name).Regions.Select(row => row with { Slots = 100 })] };
        PolicyViolation breach = Assert.Single(PolicyComparison.Violations([Small("a"), Small("b")]));
        Assert.Equal((null, ViolationKind.NotSeparate), (breach.Region, breach.Kind));
        Assert.Equal("a b", string.Join(' ', breach.Vms));
    }

    [Fact]
    public void A_thousand_VMs_with_honest_draws_of_few_slots_break_nothing()
    {
        var random = new Random(42);
        PlacedVm[] vms = [.. Enumerable.Range(0, 1000).Select(i => Vm($"vm{i}", i) with
        {
            Regions = [.. Vm("", i).Regions.Select(row => row.Scope == Scope.PerVm ? row with { Base = (ulong)random.NextInt64((long)row.Slots) } : row)],
        })];
        Assert.Empty(PolicyComparison.Violations(vms));
    }

    private static PlacedVm Vm(string name, int own = 0)
    {
        PlacedRegion Row(Region region, ulong slots, bool shared) =>
            new(region, shared ? Scope.PerTenant : Scope.PerVm, 1000 * ((ulong)region + 1) + (shared ? 0UL : 100_000 * (ulong)(own + 1)), slots);
        return new PlacedVm(name, null,
        [
            Row(Region.KernelPhysical, 221, false), Row(Region.KernelVirtual, 479, true), Row(Region.Physmap, 49_000, false),
            Row(Region.Vmalloc, 43_000, false), Row(Region.Vmemmap, 32_768, true), Row(Region.Modules, 1024, true),
        ]);
    }

    private static PlacedVm Moved(PlacedVm vm, Region region) =>
        vm with { Regions = [.. vm.Regions.Select(row => row.Region == region ? row with { Base = row.Base + 1 } : row)] };
}

namespace KaslrMt.Layout.Tests;

/// <summary>What a tenant's VMs share, and what stays a VM's own.</summary>
public class LayoutScopeTests
{
    // They depend on the tenant key (and kernel) alone, so that VMs of different sizes share them.
    private static readonly Region[] IndependentOfMemory = [Region.KernelVirtual, Region.Vmalloc, Region.Vmemmap, Region.Modules];

    public static TheoryData<string> Producers => [.. AddressProducers.All.Select(producer => producer.Name)];

    [Theory]
    [MemberData(nameof(Producers))]
    public void Per_tenant_bases_never_depend_on_the_vm_whatever_the_policy(string producer)
    {
        foreach (Policy policy in Policy.All)
        {
            for (int key = 0; key < 5; key++)
            {
                using KernelLayout first = SampleVms.Plan(policy, key, seed: 0, producer: AddressProducers.Parse(producer));
                for (int seed = 1; seed < 12; seed++)
                {
                    using KernelLayout other = SampleVms.Plan(policy, key, seed, producer: AddressProducers.Parse(producer));
                    Assert.All(PerTenant(policy), region =>
                        Assert.Equal((first[region].Base, first[region].Slots), (other[region].Base, other[region].Slots)));
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Producers))]
    public void Per_tenant_bases_are_shared_by_vms_with_different_memory(string producer)
    {
        foreach (Policy policy in Policy.All)
        {
            using KernelLayout small = SampleVms.Plan(policy,
                seed: 1, memory: SampleVms.Pc(128 * ByteSize.MiB), producer: AddressProducers.Parse(producer));
            using KernelLayout large = SampleVms.Plan(policy,
                seed: 2, memory: SampleVms.Pc(12 * ByteSize.TiB), producer: AddressProducers.Parse(producer));
            Assert.All(PerTenant(policy).Intersect(IndependentOfMemory), region => Assert.Equal(small[region].Base, large[region].Base));
        }
    }

    [Fact]
    public void Physmap_too_is_shared_by_vms_of_up_to_1_TiB()
    {
        foreach (Policy policy in Policy.All.Where(policy => policy.ScopeOf(Region.Physmap) == Scope.PerTenant))
        {
            using KernelLayout small = SampleVms.Plan(policy, seed: 1, memory: SampleVms.Pc(128 * ByteSize.MiB));
            using KernelLayout large = SampleVms.Plan(policy, seed: 2, memory: SampleVms.Pc(1000 * ByteSize.GiB));
            Assert.Equal(small.Physmap, large.Physmap);
        }
    }

    [Fact]
    public void Vmemmap_and_modules_are_shared_by_vms_with_different_kernels()
    {
        using KernelLayout one = SampleVms.Plan(Policy.Default, seed: 1, kernel: SampleVms.Kernel61);
        using KernelLayout other = SampleVms.Plan(Policy.Default, seed: 2, kernel: SampleVms.Kernel612);
        Assert.Equal((one.Vmemmap, one.Modules), (other.Vmemmap, other.Modules));
    }

    [Fact]
    public void Per_vm_bases_depend_on_the_seed_and_not_on_the_tenant_key_or_producer()
    {
        // A per-VM region above which lies nothing per-tenant has a window, too, that only the seed decides.
        foreach (Region region in (Region[])[Region.Vmemmap, Region.Modules, Region.KernelVirtual, Region.KernelPhysical])
        {
            foreach (Policy policy in Policy.All.Where(policy => policy.ScopeOf(region) == Scope.PerVm))
            {
                using KernelLayout one = SampleVms.Plan(policy, key: 1, seed: 7);
                using KernelLayout other = SampleVms.Plan(policy, key: 2, seed: 7, producer: AddressProducers.Paper);
                Assert.Equal(one[region].Base, other[region].Base);
            }
        }
    }

    [Fact]
    public void Different_seeds_give_different_per_vm_bases_and_different_keys_different_per_tenant_ones()
    {
        const int Layouts = 300;
        foreach (Policy policy in (Policy[])[Policy.Default, default, Policy.All[^1], Policy.Parse("001101")])
        {
            var seeds = new List<ulong[]>();
            var keys = new List<ulong[]>();
            for (int i = 0; i < Layouts; i++)
            {
                using KernelLayout bySeed = SampleVms.Plan(policy, key: 1, seed: i, SampleVms.Pc(16 * ByteSize.GiB));
                using KernelLayout byKey = SampleVms.Plan(policy, key: i, seed: 1, SampleVms.Pc(16 * ByteSize.GiB));
                seeds.Add([.. bySeed.Regions.Select(region => region.Base)]);
                keys.Add([.. byKey.Regions.Select(region => region.Base)]);
            }

            foreach (Region region in LayoutNames.Regions)
            {
                List<ulong[]> varied = policy.ScopeOf(region) == Scope.PerVm ? seeds : keys;

                // 300 draws from 479 slots hit 223 of them on average; from more slots, more.
                Assert.True(varied.Select(bases => bases[(int)region]).Distinct().Count() > 190, region.Name());
            }
        }
    }

    [Fact]
    public void A_policy_needs_only_the_secrets_of_its_scopes()
    {
        GuestMemoryMap memory = SampleVms.Pc(512 * ByteSize.MiB);
        using TenantKey key = SampleVms.Key(1);
        using VmSeed seed = SampleVms.Seed(1);
        LayoutPlanner.Plan(SampleVms.Kernel61, memory, default, key: null, seed, AddressProducers.Default).Dispose();
        LayoutPlanner.Plan(SampleVms.Kernel61, memory, Policy.All[^1], key, seed: null, AddressProducers.Default).Dispose();
        SampleVms.Fails(LayoutErrors.KeyMissing, () =>
            LayoutPlanner.Plan(SampleVms.Kernel61, memory, Policy.Default, null, seed, AddressProducers.Default));
        SampleVms.Fails(LayoutErrors.SeedMissing, () =>
            LayoutPlanner.Plan(SampleVms.Kernel61, memory, Policy.Default, key, null, AddressProducers.Default));
    }

    private static IEnumerable<Region> PerTenant(Policy policy) =>
        LayoutNames.Regions.Where(region => policy.ScopeOf(region) == Scope.PerTenant);
}

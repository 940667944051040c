using KaslrMt.BootTests.Running;
using KaslrMt.Layout;

namespace KaslrMt.BootTests;

/// <summary>What VMs of one tenant share and what they do not, in real guests.</summary>
public sealed class TenantTests : IDisposable
{
    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("6.1-cloud")]
    [InlineData("6.12-cloud")]
    public async Task A_tenants_VMs_share_three_bases_whatever_their_memory_and_another_tenants_share_none(string kernel)
    {
        List<byte[]> notes = [];
        GuestPlan first = new() { Kernel = kernel, Tenant = "blue", UseCache = true, Seed = TestSecrets.Seed($"first {kernel}") };
        GuestPlan second = first with { Memory = "2G", Machine = "pc", Seed = TestSecrets.Seed($"second {kernel}") };
        GuestPlan other = first with { Tenant = "red", Seed = TestSecrets.Seed($"other {kernel}") };
        IReadOnlyDictionary<Region, ulong> a = await BootAsync(first);
        IReadOnlyDictionary<Region, ulong> b = await BootUnlikeAsync(second, Policy.Default, a);
        AssertShared(Policy.Default, a, b);

        // The kernel of the one tenant lies elsewhere than that of the other, and /sys/kernel/notes is the same: it does not tell where.
        IReadOnlyDictionary<Region, ulong> c = await BootAsync(other);
        Assert.All(LayoutNames.Regions.Where(region => Policy.Default.ScopeOf(region) == Scope.PerTenant && region != Region.Modules), region => Assert.NotEqual(a[region], c[region]));
        Assert.True(notes[0].Length > 100);
        Assert.All(notes, found => Assert.Equal(notes[0], found));

        Task<IReadOnlyDictionary<Region, ulong>> BootAsync(GuestPlan plan) =>
            Agreement.BootAndCheckAsync(_scratch, plan, (_, view) => notes.Add(view.Notes));

        Task<IReadOnlyDictionary<Region, ulong>> BootUnlikeAsync(GuestPlan plan, Policy policy, IReadOnlyDictionary<Region, ulong> unlike) =>
            BootAsync(Geometries.Find(_scratch, plan, layout => OwnBasesDiffer(layout, policy, unlike)));
    }

    [Theory]
    [InlineData("000000", "6.1-cloud", "microvm")]
    [InlineData("111111", "6.12-cloud", "q35")]
    [InlineData("001101", "6.12-cloud", "microvm")]
    [InlineData("110010", "6.1-cloud", "pc")]
    public async Task A_policy_says_which_bases_are_shared(string bitmap, string kernel, string machine)
    {
        Policy policy = Policy.Parse(bitmap);
        GuestPlan plan = new() { Kernel = kernel, Machine = machine, Policy = bitmap, Cpus = 2, Seed = TestSecrets.Seed($"policy {bitmap}") };
        IReadOnlyDictionary<Region, ulong> a = await Agreement.BootAndCheckAsync(_scratch, plan);
        IReadOnlyDictionary<Region, ulong> b = await Agreement.BootAndCheckAsync(
            _scratch, Geometries.Find(_scratch, plan with { Seed = TestSecrets.Seed($"another VM {bitmap}") }, layout => OwnBasesDiffer(layout, policy, a)));
        AssertShared(policy, a, b);
    }

    [Fact]
    public Task The_papers_producer_is_obeyed_too() =>
        Agreement.BootAndCheckAsync(_scratch, new GuestPlan { Producer = "paper", Policy = "111111", Seed = TestSecrets.Seed("paper") });

    // Two draws of 1 in 1024 may fall on the same slot: such a pair of seeds would prove nothing.
    private static bool OwnBasesDiffer(KernelLayout layout, Policy policy, IReadOnlyDictionary<Region, ulong> other) =>
        layout.Regions.All(region => policy.ScopeOf(region.Region) == Scope.PerTenant || region.Base != other[region.Region]);

    private static void AssertShared(Policy policy, IReadOnlyDictionary<Region, ulong> a, IReadOnlyDictionary<Region, ulong> b) =>
        Assert.All(LayoutNames.Regions, region => Assert.Equal(policy.ScopeOf(region) == Scope.PerTenant, a[region] == b[region]));
}

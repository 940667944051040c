using KaslrMt.Layout;

namespace KaslrMt.Guests;

/// <summary>What a policy promises of a tenant's VMs: per-tenant bases are equal, and each VM draws the others for itself.</summary>
/// <remarks>
/// <para>
/// Per-tenant bases can be equal only where they are drawn from the same window (two kernels have different numbers of places for their text) and under the
/// same key; other pairs are not compared.
/// </para>
/// <para>
/// Two draws may be equal by chance: of 221 physical slots, once in 221 pairs. What is reported would happen by chance less than once in ten thousand
/// comparisons, by the Poisson bound on the number of VMs that repeat another's base.
/// </para>
/// </remarks>
public static class PolicyComparison
{
    /// <summary>The largest probability that is not taken for chance.</summary>
    public const double Implausible = 1e-4;

    /// <summary>Compares the VMs of one tenant.</summary>
    /// <returns>What breaks the promise; empty when it holds.</returns>
    public static IReadOnlyList<PolicyViolation> Violations(IReadOnlyList<PlacedVm> vms)
    {
        ArgumentNullException.ThrowIfNull(vms);
        List<PolicyViolation> breaches = [];
        foreach (Region region in LayoutNames.Regions)
        {
            Place[] places = [.. vms.SelectMany(vm => vm.Regions.Where(row => row.Region == region).Select(row => new Place(vm, row)))];
            foreach (IGrouping<(ulong, long?), Place> same in places.Where(place => place.Row.Scope == Scope.PerTenant).GroupBy(place => (place.Row.Slots, place.Vm.Generation)))
            {
                if (same.Select(place => place.Row.Base).Distinct().Count() > 1)
                {
                    breaches.Add(new PolicyViolation(region, ViolationKind.NotShared, [.. same.Select(place => place.Vm.Name)]));
                }
            }

            // The windows of two VMs may differ (RAM, what was drawn before): the smallest makes equality likeliest.
            Place[] own = [.. places.Where(place => place.Row.Scope == Scope.PerVm)];
            Repeats([.. own.Select(place => (place.Vm, place.Row.Base))], own.Select(place => place.Row.Slots).DefaultIfEmpty().Min(), region, breaches);
        }

        if (!breaches.Exists(breach => breach.Kind == ViolationKind.NotSeparate))
        {
            Together(vms, breaches);
        }

        return breaches;
    }

    // Each equality may be chance, and all of one VM together not: two VMs started with one seed on a small machine.
    private static void Together(IReadOnlyList<PlacedVm> vms, List<PolicyViolation> breaches)
    {
        var own = vms.Select(vm => (Vm: vm, Rows: vm.Regions.Where(row => row.Scope == Scope.PerVm).ToArray())).Where(vm => vm.Rows.Length > 1);
        foreach (var same in own.GroupBy(vm => string.Join(' ', vm.Rows.Select(row => row.Region.Name()))))
        {
            var members = same.ToArray();
            double joint = members.Min(vm => vm.Rows.Aggregate(1.0, (product, row) => product * row.Slots));
            Repeats([.. members.Select(vm => (vm.Vm, string.Join(' ', vm.Rows.Select(row => row.Base))))], joint, null, breaches);
        }
    }

    private static void Repeats<T>((PlacedVm Vm, T Base)[] draws, double slots, Region? region, List<PolicyViolation> breaches)
    {
        IGrouping<T, (PlacedVm Vm, T Base)>[] groups = [.. draws.GroupBy(draw => draw.Base)];
        int repeats = draws.Length - groups.Length;
        double expected = draws.Length * (draws.Length - 1.0) / 2 / slots;
        if (repeats > 0 && AtLeast(repeats, expected) < Implausible)
        {
            breaches.Add(new PolicyViolation(region, ViolationKind.NotSeparate, [.. groups.Where(group => group.Count() > 1).SelectMany(group => group).Select(draw => draw.Vm.Name)]));
        }
    }

    /// <summary>An upper bound on the probability that a Poisson variable is at least <paramref name="count"/>; 1 where it does not bound.</summary>
    /// <remarks>The first term of the tail times the geometric series that dominates the rest.</remarks>
    private static double AtLeast(int count, double mean)
    {
        if (mean >= count)
        {
            return 1;
        }

        double term = Math.Exp(-mean);
        for (int i = 1; i <= count; i++)
        {
            term *= mean / i;
        }

        return Math.Min(1, term / (1 - (mean / (count + 1))));
    }

    private readonly record struct Place(PlacedVm Vm, PlacedRegion Row);
}

using System.Collections.Immutable;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;
using KaslrMt.Layout;

namespace KaslrMt.Vms;

/// <summary>Whether a tenant's VMs on this host keep what their policy promises.</summary>
/// <param name="Tenant">Whose VMs.</param>
/// <param name="Vms">The VMs compared.</param>
/// <param name="Violations">What breaks the promise.</param>
internal sealed record PolicyCheck(string Tenant, IReadOnlyList<string> Vms, IReadOnlyList<PolicyViolation> Violations)
{
    /// <summary>Compares a tenant's running VMs by what each was given; every start compares that with the guest's memory.</summary>
    /// <param name="tenant">The tenant.</param>
    /// <param name="running">The host's VMs.</param>
    /// <param name="observed">VMs whose memory was read just now: what it holds counts.</param>
    /// <returns>Null when fewer than two of its VMs run with a layout of ours.</returns>
    public static PolicyCheck? Check(string tenant, IReadOnlyList<RunningVm> running, IReadOnlyDictionary<string, LayoutVerification> observed)
    {
        List<PlacedVm> placed = [];
        foreach (RunningVm vm in running.Where(vm => vm.State?.Tenant == tenant))
        {
            string folder = vm.Folder;

            // Who asked for nokaslr was promised nothing.
            if (IntendedLayout.ReadFrom(folder) is { Link: false } intended)
            {
                placed.Add(new PlacedVm(vm.Name, RegistrationFile.TryReadFrom(folder)?.Generation, Rows(intended, observed.GetValueOrDefault(vm.Name))));
            }
        }

        return placed.Count < 2 ? null : new PolicyCheck(tenant, [.. placed.Select(vm => vm.Name)], PolicyComparison.Violations(placed));
    }

    /// <summary>Says a breach in a line.</summary>
    public static string Describe(PolicyViolation breach)
    {
        string vms = string.Join(", ", breach.Vms);
        return breach.Kind == ViolationKind.NotShared
            ? $"{breach.Region!.Value.Name()} is per tenant and differs between {vms}"
            : breach.Region is Region region
                ? $"{region.Name()} is each VM's own and repeats in {vms}"
                : $"all bases that each VM has for itself repeat together in {vms}";
    }

    private static ImmutableArray<PlacedRegion> Rows(IntendedLayout intended, LayoutVerification? observed) => observed is null
        ? [.. intended.Regions.Select(row => new PlacedRegion(row.Region, row.Scope, row.Base, row.Slots))]
        : [.. observed.Regions.Select(row => new PlacedRegion(row.Region, row.Scope, row.Observed ?? row.Intended, row.Slots))];
}

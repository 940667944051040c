namespace KaslrMt.Vms;

/// <summary>The layout that a VM was given beside what its memory holds. Tells bases: it is for those who may act for the VM's tenant.</summary>
/// <param name="Name">The VM.</param>
/// <param name="Tenant">Its tenant, or null.</param>
/// <param name="Matches">Whether every region that the kernel has placed lies where it was meant to.</param>
/// <param name="Regions">The six regions.</param>
public sealed record VerifyReport(string Name, string? Tenant, bool Matches, IReadOnlyList<VerifyReport.VerifiedRegion> Regions)
{
    /// <summary>Gets how the VM's bases stand to those of its tenant's other VMs on this host; null when it is alone.</summary>
    public VerifiedPromise? Promise { get; init; }

    /// <summary>Gets whether nothing is wrong.</summary>
    public bool Holds => Matches && Promise is null or { Holds: true };

    /// <summary>One region.</summary>
    /// <param name="Name">The region's name.</param>
    /// <param name="Scope"><c>per-tenant</c> or <c>per-vm</c>.</param>
    /// <param name="Intended">The base that the host chose, as <c>0x</c> and 16 digits.</param>
    /// <param name="Observed">The base in the guest's memory; null while the kernel has not drawn it.</param>
    /// <param name="Matches">Whether both are the same; null while the kernel has not drawn the base.</param>
    public sealed record VerifiedRegion(string Name, string Scope, string Intended, string? Observed, bool? Matches);

    /// <summary>What the policy promises over a tenant's VMs of this host.</summary>
    /// <param name="Tenant">The tenant.</param>
    /// <param name="Holds">Whether the policy is kept.</param>
    /// <param name="Vms">The VMs compared.</param>
    /// <param name="Violations">What breaks it, a clause each.</param>
    public sealed record VerifiedPromise(string Tenant, bool Holds, IReadOnlyList<string> Vms, IReadOnlyList<string> Violations)
    {
        /// <summary>The report of a comparison.</summary>
        internal static VerifiedPromise? Of(PolicyCheck? check) => check is null
            ? null
            : new VerifiedPromise(check.Tenant, check.Violations.Count == 0, check.Vms, [.. check.Violations.Select(PolicyCheck.Describe)]);
    }
}

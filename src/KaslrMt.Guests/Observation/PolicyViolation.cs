using System.Collections.Immutable;
using KaslrMt.Layout;

namespace KaslrMt.Guests;

/// <summary>Where a tenant's VMs break the policy's promise.</summary>
/// <param name="Region">The region; null when all regions that a VM has for itself are equal together.</param>
/// <param name="Kind">How.</param>
/// <param name="Vms">The VMs concerned, in the order they were given.</param>
public sealed record PolicyViolation(Region? Region, ViolationKind Kind, ImmutableArray<string> Vms);

/// <summary>How a promise is broken.</summary>
public enum ViolationKind
{
    /// <summary>A per-tenant base differs between VMs of the tenant: their pages are not shared.</summary>
    NotShared,

    /// <summary>A per-VM base is equal in VMs more often than chance explains: who knows one VM's knows the others'.</summary>
    NotSeparate,
}

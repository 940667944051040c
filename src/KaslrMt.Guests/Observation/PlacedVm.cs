using System.Collections.Immutable;
using KaslrMt.Layout;

namespace KaslrMt.Guests;

/// <summary>Where a VM's regions lie, as far as they are known, for the comparison with its tenant's other VMs. Secret.</summary>
/// <param name="Name">The VM's name.</param>
/// <param name="Generation">The generation of the tenant key it was started under; null where nobody knows.</param>
/// <param name="Regions">Its regions; one that is not known yet is left out.</param>
public sealed record PlacedVm(string Name, long? Generation, ImmutableArray<PlacedRegion> Regions)
{
    /// <summary>The name alone: the bases are secrets of a running VM.</summary>
    public override string ToString() => Name;
}

/// <summary>One region of a VM. Secret.</summary>
/// <param name="Region">The region.</param>
/// <param name="Scope">Who is to share the base.</param>
/// <param name="Base">The base.</param>
/// <param name="Slots">How many bases it was chosen from.</param>
public readonly record struct PlacedRegion(Region Region, Scope Scope, ulong Base, ulong Slots)
{
    /// <summary>The region's name.</summary>
    public override string ToString() => Region.Name();
}

using System.Collections.Immutable;

namespace KaslrMt.Layout;

/// <summary>
/// How unpredictable all six bases of a VM are. Computed from the ways of drawing, never from a drawn layout: it is no secret.
/// </summary>
public sealed class KaslrEntropy
{
    private readonly ImmutableArray<RegionEntropy> _regions;

    internal KaslrEntropy(params IEnumerable<RegionEntropy> regions) => _regions = [.. regions.OrderBy(region => region.Region)];

    /// <summary>All six regions, from kernel-physical to modules.</summary>
    public ImmutableArray<RegionEntropy> Regions => _regions;

    /// <summary>Bits of physmap, vmalloc and vmemmap together.</summary>
    public double JointMemory => this[Region.Physmap].Conditional + this[Region.Vmalloc].Conditional + this[Region.Vmemmap].Conditional;

    /// <summary>Bits of all six together.</summary>
    public double Joint => _regions.Sum(region => region.Conditional);

    /// <summary>One region.</summary>
    public RegionEntropy this[Region region] => _regions[(int)region];
}

namespace KaslrMt.Layout;

/// <summary>How unpredictable a region's base is, in bits (Shannon).</summary>
/// <param name="Region">The region.</param>
/// <param name="Marginal">To somebody who knows nothing.</param>
/// <param name="Conditional">On average, to somebody who knows every region drawn before it. These add up to the joint entropy.</param>
/// <param name="Least">At worst, whatever the regions drawn before it turned out to be.</param>
public readonly record struct RegionEntropy(Region Region, double Marginal, double Conditional, double Least)
{
    /// <summary>A region whose base is uniform over this many slots and depends on no other region.</summary>
    internal static RegionEntropy Uniform(Region region, ulong slots)
    {
        double bits = Math.Log2(slots);
        return new RegionEntropy(region, bits, bits, bits);
    }
}

using System.Collections.Immutable;

namespace KaslrMt.Sharing;

/// <summary>Redundant memory by the number of guests (the paper, Figure 4), in pages of 4 KiB.</summary>
/// <param name="Points">For the first 1, 2, … guests.</param>
public sealed record SharingCurve(ImmutableArray<SharingCurve.Point> Points)
{
    /// <summary>The first so many guests.</summary>
    /// <param name="Guests">How many.</param>
    /// <param name="KernelPages">Their pages of the paper's six regions.</param>
    /// <param name="KernelDistinct">Different contents among those.</param>
    /// <param name="AllPages">All their pages.</param>
    /// <param name="AllDistinct">Different contents among those.</param>
    public sealed record Point(int Guests, long KernelPages, long KernelDistinct, long AllPages, long AllDistinct)
    {
        /// <summary>The redundant share of kernel memory, 0 to 1.</summary>
        public double KernelRedundantShare => KernelPages == 0 ? 0 : 1 - ((double)KernelDistinct / KernelPages);

        /// <summary>The redundant share of all memory, 0 to 1.</summary>
        public double AllRedundantShare => AllPages == 0 ? 0 : 1 - ((double)AllDistinct / AllPages);
    }
}

using System.Globalization;

namespace KaslrMt.Layout.Tests;

/// <summary>A chi-square test of counts against what they are expected to be.</summary>
/// <remarks>
/// The statistic is turned into a standard normal deviate (Wilson and Hilferty, 1931). Draws pass between −6 and +6: a false alarm has a
/// probability of 2·10^-9, and counts that are too even to be random fail as well.
/// </remarks>
internal sealed class ChiSquare(int bins)
{
    private const double Limit = 6;
    private readonly double[] _observed = new double[bins];
    private readonly double[] _expected = new double[bins];

    internal void Observe(int bin, double count = 1) => _observed[bin] += count;

    internal void Expect(int bin, double count) => _expected[bin] += count;

    /// <summary>One draw of a slot, binned by its upper part (where in the window) or its lower part (slot modulo bins).</summary>
    internal void Observe(ulong slot, ulong slots, bool upper)
    {
        var bin = (int)(upper ? (UInt128)slot * (ulong)bins / slots : slot % (ulong)bins);
        Observe(bin);
        for (int i = 0; i < bins; i++)
        {
            Expect(i, (double)SlotsInBin((ulong)i, slots, upper) / slots);
        }
    }

    /// <summary>How far the counts are from what was expected, in standard deviations.</summary>
    internal double Deviate(int? degreesOfFreedom = null)
    {
        double total = _observed.Sum();
        bool uniform = _expected.All(expected => expected == 0);
        double statistic = 0;
        int used = 0;
        for (int i = 0; i < bins; i++)
        {
            double expected = uniform ? total / bins : _expected[i];
            used += expected > 0 ? 1 : 0;
            statistic += expected > 0 ? Math.Pow(_observed[i] - expected, 2) / expected : 0;
        }

        double degrees = degreesOfFreedom ?? used - 1;
        double spread = 2 / (9 * degrees);
        return (Math.Cbrt(statistic / degrees) - 1 + spread) / Math.Sqrt(spread);
    }

    internal bool IsUniform() => Math.Abs(Deviate()) < Limit;

    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"chi-square over {bins} bins: {Deviate():F2} standard deviations");

    private ulong SlotsInBin(ulong bin, ulong slots, bool upper)
    {
        var count = (ulong)bins;
        return upper
            ? CeilingDivide((UInt128)(bin + 1) * slots, count) - CeilingDivide((UInt128)bin * slots, count)
            : (slots / count) + (bin < slots % count ? 1UL : 0);
    }

    private static ulong CeilingDivide(UInt128 value, ulong divisor) => (ulong)((value + divisor - 1) / divisor);
}

namespace KaslrMt.Layout;

/// <summary>
/// The probabilities of a base over slots, built up from runs of equally likely slots. Adding a run costs the same whatever its length,
/// which is what makes the exact entropy of a base that depends on other bases cheap.
/// </summary>
internal sealed class SlotDistribution
{
    // Differences between neighbouring slots; their running sum is the probability.
    private readonly double[] _steps;

    internal SlotDistribution(int slots) => _steps = new double[slots + 1];

    /// <summary>
    /// Adds <paramref name="each"/> to the probability of <paramref name="count"/> slots from <paramref name="first"/> on.
    /// </summary>
    internal void Add(int first, int count, double each)
    {
        _steps[first] += each;
        _steps[first + count] -= each;
    }

    /// <summary>The slots that can occur, with their probabilities.</summary>
    internal IEnumerable<(int Slot, double Probability)> Outcomes()
    {
        double probability = 0;
        for (int slot = 0; slot < _steps.Length - 1; slot++)
        {
            probability += _steps[slot];
            if (probability > Negligible)
            {
                yield return (slot, probability);
            }
        }
    }

    /// <summary>Shannon entropy in bits.</summary>
    internal double Entropy() => -Outcomes().Sum(outcome => outcome.Probability * Math.Log2(outcome.Probability));

    // What rounding leaves of a probability that is zero. No run that is added makes a slot's probability this small.
    private const double Negligible = 1e-15;
}

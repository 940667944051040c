using System.Globalization;

namespace KaslrMt.Bench;

/// <summary>One figure beside its baseline of the same run, and the target it is held against.</summary>
/// <param name="What">What was measured.</param>
/// <param name="Ours">The median, in the unit.</param>
/// <param name="Baseline">The baseline's median in the same unit; NaN where there is none.</param>
/// <param name="BaselineName">What the baseline is.</param>
/// <param name="Unit">ms, or ns for each entry.</param>
/// <param name="Limit">The target.</param>
/// <param name="LimitIsRatio">Whether the target is for ours / baseline, else for ours.</param>
internal sealed record Result(string What, double Ours, double Baseline, string BaselineName, string Unit, double Limit, bool LimitIsRatio)
{
    public double Ratio => Ours / Baseline;

    public bool Met => (LimitIsRatio ? Ratio : Ours) <= Limit;

    public static void Print(IEnumerable<Result> results)
    {
        Console.WriteLine();
        foreach (Result result in results)
        {
            string limit = double.IsPositiveInfinity(result.Limit) ? "" : result.LimitIsRatio ? $"≤ {result.Limit:0.00} ×" : $"≤ {result.Limit:0.##} {result.Unit}";
            string baseline = double.IsNaN(result.Baseline) ? "" : $"{result.Ratio:0.00} × {result.Baseline:0.0} {result.Unit} ({result.BaselineName})";
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{(result.Met ? "met   " : "MISSED")} {result.What,-44} {result.Ours,8:0.0} {result.Unit,-8} {limit,-12} {baseline}"));
        }
    }
}

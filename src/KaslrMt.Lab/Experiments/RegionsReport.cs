using KaslrMt.Cli.Output;
using KaslrMt.Guests;
using KaslrMt.Layout;
using KaslrMt.Sharing;

namespace KaslrMt.Lab.Experiments;

/// <summary>What <c>experiment regions</c> measured. Shares are 0 to 1.</summary>
/// <param name="Guest">The kind of guest.</param>
/// <param name="Kernel">The kernel's name.</param>
/// <param name="MemoryBytes">Each guest's RAM.</param>
/// <param name="Accelerator">What executed them.</param>
/// <param name="Probes">Probes wanted for each policy.</param>
/// <param name="Policies">A row for each policy that has two probes at least.</param>
/// <param name="Impact">Table 7, by equal content.</param>
/// <param name="ImpactByPlace">Table 7, by equal content at the same place.</param>
/// <param name="Paper">The paper's figures with ours.</param>
/// <param name="Skipped">Guests that did not boot.</param>
/// <param name="MeanBootSeconds">What a boot of this run took; null when all was measured before.</param>
internal sealed record RegionsReport(
    string Guest,
    string Kernel,
    ulong MemoryBytes,
    string Accelerator,
    int Probes,
    IReadOnlyList<RegionsReport.PolicyRow> Policies,
    IReadOnlyList<RegionsReport.ImpactRow> Impact,
    IReadOnlyList<RegionsReport.ImpactRow> ImpactByPlace,
    IReadOnlyList<RegionsReport.PaperRow> Paper,
    IReadOnlyList<string> Skipped,
    double? MeanBootSeconds)
{
    /// <summary>When, where and how it was measured; null in results of versions that did not say.</summary>
    public Measurement? Measured { get; init; }

    private const int Digits = 4;

    /// <summary>The report of what was compared.</summary>
    public static RegionsReport Of(ExperimentSettings settings, IReadOnlyList<PolicyEquality> measured, IReadOnlyList<string> skipped, double? bootSeconds) => new(
        settings.Guest,
        settings.Kernel,
        settings.Memory,
        settings.Accelerator,
        settings.Guests,
        [.. measured.Select(policy => new PolicyRow(policy.Policy.ToString(), policy.Probes, [.. policy.Classes.Select(ClassRow.Of)]))],
        [.. ImpactTable.Of(measured, equal => equal.ByContent).Select(ImpactRow.Of)],
        [.. ImpactTable.Of(measured, equal => equal.ByPlace).Select(ImpactRow.Of)],
        [.. PaperFigures.Equality.Select(figure => PaperRow.Of(figure, measured))],
        skipped,
        bootSeconds);

    private static double Round(double share) => Math.Round(share, Digits);

    /// <summary>One policy.</summary>
    /// <param name="Policy">Six digits: 1 = one base for all probes, 0 = random for each.</param>
    /// <param name="Probes">Probes compared.</param>
    /// <param name="Classes">The six classes.</param>
    internal sealed record PolicyRow(string Policy, int Probes, IReadOnlyList<ClassRow> Classes);

    /// <summary>One class of pages under one policy.</summary>
    /// <param name="Name">The class.</param>
    /// <param name="Pages">Pages of a probe, on average.</param>
    /// <param name="Zero">The share of zero pages.</param>
    /// <param name="ByContent">The share whose content all probes have.</param>
    /// <param name="ByPlace">The share that is the same at the same place in all probes.</param>
    internal sealed record ClassRow(string Name, double Pages, double Zero, double ByContent, double ByPlace)
    {
        /// <summary>The row of a comparison.</summary>
        public static ClassRow Of(ClassEquality equal) => new(equal.Class.Name(), Math.Round(equal.Pages, 1), Round(equal.Zero), Round(equal.ByContent), Round(equal.ByPlace));
    }

    /// <summary>One cell of Table 7.</summary>
    /// <param name="Region">What is randomized.</param>
    /// <param name="Class">Which pages suffer.</param>
    /// <param name="Fixed">Equal pages with one base.</param>
    /// <param name="Random">Equal pages with random bases.</param>
    /// <param name="Loss">The relative loss.</param>
    /// <param name="Level">none, low, med or high.</param>
    /// <param name="PaperLevel">The paper's.</param>
    internal sealed record ImpactRow(string Region, string Class, double Fixed, double Random, double Loss, string Level, string PaperLevel)
    {
        /// <summary>The row of a cell.</summary>
        public static ImpactRow Of(Impact cell) => new(
            cell.Region.Name(), cell.Class.Name(), Round(cell.Fixed), Round(cell.Random), Round(cell.Loss), Word(cell.Level), Word(PaperFigures.Impact(cell.Region, cell.Class)));

        private static string Word(ImpactLevel level) => level switch
        {
            ImpactLevel.None => "none",
            ImpactLevel.Low => "low",
            ImpactLevel.Medium => "med",
            _ => "high",
        };
    }

    /// <summary>One of the paper's figures, and ours.</summary>
    /// <param name="Class">The pages.</param>
    /// <param name="Policies">Over which policies.</param>
    /// <param name="Paper">The paper's per cent, as it has them.</param>
    /// <param name="ByContent">Ours by content; null when no such policy was measured.</param>
    /// <param name="ByPlace">Ours at the same place.</param>
    internal sealed record PaperRow(string Class, string Policies, string Paper, double? ByContent, double? ByPlace)
    {
        /// <summary>The row of a figure.</summary>
        public static PaperRow Of(PaperEquality figure, IReadOnlyList<PolicyEquality> measured)
        {
            ClassEquality[] own = [.. measured.Where(policy => figure.Holds(policy.Policy)).Select(policy => policy.Classes.First(equal => equal.Class == figure.Class))];
            return new PaperRow(
                figure.Class.Name(),
                figure.Condition,
                figure.Text,
                own.Length == 0 ? null : Round(own.Average(equal => equal.ByContent)),
                own.Length == 0 ? null : Round(own.Average(equal => equal.ByPlace)));
        }
    }
}

using KaslrMt.Cli.Output;
using KaslrMt.Cli.Sharing;
using KaslrMt.Guests;
using KaslrMt.Layout;
using KaslrMt.Sharing;

namespace KaslrMt.Lab.Experiments;

/// <summary>What <c>experiment curve</c> measured. Pages are of 4 KiB, shares 0 to 1, seconds.</summary>
/// <param name="Guest">The kind of guest.</param>
/// <param name="Kernel">The kernel's name.</param>
/// <param name="MemoryBytes">Each guest's RAM.</param>
/// <param name="Accelerator">What executed them.</param>
/// <param name="Guests">Guests wanted.</param>
/// <param name="Modes">KASLR off, stock, ours, and variants of them.</param>
/// <param name="Paper">The paper's two points of each curve.</param>
internal sealed record CurveReport(
    string Guest, string Kernel, ulong MemoryBytes, string Accelerator, int Guests, IReadOnlyList<CurveReport.Mode> Modes, IReadOnlyList<PaperCurve> Paper)
{
    /// <summary>When, where and how it was measured; null in results of versions that did not say.</summary>
    public Measurement? Measured { get; init; }

    private const int Decimals = 4;

    /// <summary>One mode.</summary>
    /// <param name="Name"><c>off</c>, <c>stock</c>, <c>kaslr-mt</c>, …</param>
    /// <param name="Booted">Guests compared.</param>
    /// <param name="Skipped">Those that did not boot.</param>
    /// <param name="MeanBootSeconds">What a boot took.</param>
    /// <param name="Points">Redundant memory of the first 1, 2, … guests (Figure 4).</param>
    /// <param name="Classes">By class with all guests (Figure 5).</param>
    /// <param name="KernelPages">The paper's six regions together.</param>
    /// <param name="AllPages">All memory together.</param>
    /// <param name="ChangedPages">Pages that changed while they were compared: 0, for the guests stand still.</param>
    /// <param name="Ksm">What the host's KSM made of them; null where it was not asked for.</param>
    internal sealed record Mode(
        string Name,
        int Booted,
        IReadOnlyList<string> Skipped,
        double? MeanBootSeconds,
        IReadOnlyList<Point> Points,
        IReadOnlyList<SharingReport.Row> Classes,
        SharingReport.Row KernelPages,
        SharingReport.Row AllPages,
        long ChangedPages,
        Ksm? Ksm)
    {
        // Not init: generated code would set what a file of an earlier version does not hold to null.

        /// <summary>The name for people; empty in results of versions that had none.</summary>
        public string Label { get; set; } = "";

        /// <summary>The policy; null where the layout is not ours, or is not said.</summary>
        public string? Policy { get; init; }

        /// <summary>How many tenants the guests are of: one each where the layout is not ours; 0 where it is not said.</summary>
        public int Tenants { get; set; }

        /// <summary>What the guests cost the host after KSM, all in; null where KSM was left alone, and in results of versions that did not count it.</summary>
        public HostCost? Cost { get; init; }

        /// <summary>The report of what was compared.</summary>
        public static Mode Of(CurveMode mode, Policy? policy, int booted, GuestBoots boots, GuestCurve curve, KsmMeasurement? ksm, HostCost? cost) => new(
            mode.Name,
            booted,
            boots.Skipped,
            boots.MeanSeconds,
            [.. curve.Curve.Points.Select(Point.Of)],
            [.. PageClassNames.All.Select(pageClass => SharingReport.Row.Of(pageClass.Name(), curve.Table[pageClass]))],
            SharingReport.Row.Of("kernel", curve.Table.Kernel),
            SharingReport.Row.Of("all", curve.Table.All),
            curve.Table.Changed,
            ksm is null ? null : Ksm.Of(ksm))
        {
            Label = mode.Label,
            Cost = cost,
            Policy = policy?.ToString(),
            Tenants = policy is null ? booted : mode.Tenants,
        };
    }

    /// <summary>One point of the curve.</summary>
    internal sealed record Point(int Guests, long KernelPages, long KernelDistinct, double KernelRedundantShare, long AllPages, long AllDistinct, double AllRedundantShare)
    {
        /// <summary>The report of a point.</summary>
        public static Point Of(SharingCurve.Point point) => new(
            point.Guests,
            point.KernelPages,
            point.KernelDistinct,
            Math.Round(point.KernelRedundantShare, Decimals),
            point.AllPages,
            point.AllDistinct,
            Math.Round(point.AllRedundantShare, Decimals));
    }

    /// <summary>The host's real KSM, at full speed, on guests that stand still.</summary>
    /// <param name="Guests"><c>paused</c>: they stood still meanwhile.</param>
    /// <param name="Settled">Whether two scans in a row found less than 0.1 % more.</param>
    /// <param name="Seconds">Until then.</param>
    /// <param name="Scans">Scans of all memory until then.</param>
    /// <param name="ProcessorSeconds">Of <c>ksmd</c>; null where it cannot be seen.</param>
    /// <param name="PagesShared"><c>pages_shared</c>.</param>
    /// <param name="PagesSharing"><c>pages_sharing</c>.</param>
    /// <param name="PagesUnshared"><c>pages_unshared</c>.</param>
    /// <param name="PagesVolatile"><c>pages_volatile</c>.</param>
    /// <param name="ZeroPages"><c>ksm_zero_pages</c>; null before 6.6.</param>
    /// <param name="HeldByCounters">shared + unshared + volatile: of all memory that KSM knows.</param>
    /// <param name="ResidentBefore">Pages of the guests' memory that were there before.</param>
    /// <param name="HeldPages">Pages that the host holds for the guests' memory in the end (Pss).</param>
    /// <param name="OtherMergeableBytes">Other processes' memory that KSM looked at too; the counters hold it, <paramref name="HeldPages"/> does not.</param>
    internal sealed record Ksm(
        string Guests,
        bool Settled,
        double Seconds,
        long Scans,
        double? ProcessorSeconds,
        long PagesShared,
        long PagesSharing,
        long PagesUnshared,
        long PagesVolatile,
        long? ZeroPages,
        long HeldByCounters,
        long ResidentBefore,
        long HeldPages,
        long OtherMergeableBytes)
    {
        /// <summary>The report of a measurement.</summary>
        public static Ksm Of(KsmMeasurement measured) => new(
            "paused",
            measured.Settled,
            Math.Round(measured.Time.TotalSeconds, 1),
            measured.Scans,
            measured.Processor is TimeSpan busy ? Math.Round(busy.TotalSeconds, 2) : null,
            measured.Counters.Shared,
            measured.Counters.Sharing,
            measured.Counters.Unshared,
            measured.Counters.Volatile,
            measured.Counters.ZeroPages,
            measured.Counters.Held,
            measured.Before.Resident / PageCensus.PageSize,
            measured.HeldPages,
            measured.Others.Resident);
    }
}

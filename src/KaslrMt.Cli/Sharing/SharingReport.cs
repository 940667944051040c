using KaslrMt.Cli.Output;
using KaslrMt.Guests;
using KaslrMt.Layout;
using KaslrMt.Sharing;

namespace KaslrMt.Cli.Sharing;

/// <summary>What some guests share, as <c>sharing</c> reports it. Pages of 4 KiB.</summary>
/// <param name="Guests">The guests.</param>
/// <param name="Classes">A row for each class of pages, compared with pages of the same class.</param>
/// <param name="Kernel">The paper's six regions together.</param>
/// <param name="All">All pages together.</param>
/// <param name="SaveableBytes">What the host saves when all of it is merged.</param>
/// <param name="KernelCodeKeptApartBytes">Kernel code that is held more than once because layouts differ.</param>
/// <param name="ChangedPages">Pages that changed while they were compared, counted as different.</param>
internal sealed record SharingReport(
    IReadOnlyList<SharingReport.Guest> Guests,
    IReadOnlyList<SharingReport.Row> Classes,
    SharingReport.Row Kernel,
    SharingReport.Row All,
    long SaveableBytes,
    long KernelCodeKeptApartBytes,
    long ChangedPages)
{
    /// <summary>When, where and how it was measured; null in results of versions that did not say.</summary>
    public Measurement? Measured { get; init; }

    private const int PageSize = PageCensus.PageSize;

    /// <summary>The report of a comparison.</summary>
    public static SharingReport Of(GuestSharing sharing) => new(
        [.. sharing.Guests.Select(guest => new Guest(guest.Name, guest.Tenant, guest.Release, (long)guest.Frames.Count * PageSize))],
        [.. PageClassNames.All.Select(pageClass => Row.Of(pageClass.Name(), sharing.Table[pageClass]))],
        Row.Of("kernel", sharing.Table.Kernel),
        Row.Of("all", sharing.Table.All),
        sharing.Table.All.Redundant * PageSize,
        sharing.CodeKeptApart * PageSize,
        sharing.Table.Changed);

    /// <summary>One guest.</summary>
    internal sealed record Guest(string Name, string? Tenant, string Release, long MemoryBytes);

    /// <summary>One class of pages.</summary>
    /// <param name="Name">The class.</param>
    /// <param name="Pages">All its pages.</param>
    /// <param name="Zero">Those of zeros.</param>
    /// <param name="Distinct">Different contents.</param>
    /// <param name="Redundant">Pages that repeat another: what merging saves.</param>
    /// <param name="WithinTenants">Those that repeat one of their own tenant's.</param>
    /// <param name="AcrossTenants">Those that repeat only another tenant's.</param>
    /// <param name="RedundantShare">Redundant of all, 0 to 1.</param>
    internal sealed record Row(string Name, long Pages, long Zero, long Distinct, long Redundant, long WithinTenants, long AcrossTenants, double RedundantShare)
    {
        /// <summary>Pages whose content no other guest has; 0 in results of versions that did not count them.</summary>
        public long Unique { get; set; }

        /// <summary>The row of a tally.</summary>
        public static Row Of(string name, PageTally tally) => new(
            name, tally.Pages, tally.Zero, tally.Distinct, tally.Redundant, tally.WithinTenants, tally.AcrossTenants, Math.Round(tally.RedundantShare, 4))
        {
            Unique = tally.Unique,
        };
    }
}

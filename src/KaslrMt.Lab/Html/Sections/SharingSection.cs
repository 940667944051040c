using KaslrMt.Cli.Sharing;
using KaslrMt.Guests;
using KaslrMt.Lab.Experiments;
using KaslrMt.Layout;
using KaslrMt.Sharing;

namespace KaslrMt.Lab.Html.Sections;

/// <summary>What running guests share (<c>kaslrmt sharing</c>).</summary>
internal static class SharingSection
{
    private static readonly string[] Parts = ["held once", "redundant within tenants", "redundant across tenants"];

    /// <summary>Adds it to a page.</summary>
    public static void Add(HtmlPage page, SharingReport report)
    {
        long tenants = report.Guests.Select(guest => guest.Tenant).OfType<string>().Distinct().Count();
        page.Section("What running guests share", $"{report.Guests.Count} guests, {tenants} {(tenants == 1 ? "tenant" : "tenants")}, {Figures.Mebibytes(report.All.Pages)}");
        page.Facts(Figures.Origin(report.Measured));
        page.Tiles(
            ("merging saves", Bytes(report.SaveableBytes), $"of {Figures.Mebibytes(report.All.Pages)}"),
            ("kernel memory", Figures.PercentSign(report.Kernel.RedundantShare), "of it is redundant"),
            ("layouts cost", Bytes(report.KernelCodeKeptApartBytes), "of kernel code is held more than once because layouts differ"));
        SharingReport.Row[] rows = [.. report.Classes.Where(row => row.Pages > 0)];

        // Apart, because free memory dwarfs the kernel's.
        string[] kernel = [.. SharingTable.KernelClasses.Select(pageClass => pageClass.Name())];
        AddFigure(page, "The kernel's pages by what they hold: those that must be held once, and those that repeat another page of the same tenant's guests, or only another tenant's.", [.. rows.Where(row => kernel.Contains(row.Name))]);
        AddFigure(page, "All other pages.", [.. rows.Where(row => !kernel.Contains(row.Name))]);
        var table = new HtmlTable("Pages of 4 KiB by class", "pages", ">all", ">zero", ">distinct", ">redundant", ">%", ">within tenants", ">across");
        foreach (SharingReport.Row row in rows.Append(report.Kernel).Append(report.All))
        {
            string? sum = row == report.Kernel || row == report.All ? "sum" : null;
            HtmlCell[] cells = [
                row == report.Kernel ? "kernel (the six classes)" : row == report.All ? "all memory" : row.Name, Figures.Count(row.Pages), Figures.Count(row.Zero), Figures.Count(row.Distinct),
                Figures.Count(row.Redundant), Figures.Percent(row.RedundantShare), Figures.Count(row.WithinTenants), Figures.Count(row.AcrossTenants)];
            table.Row([.. cells.Select(cell => cell with { Style = sum })]);
        }

        page.Table(table);
        if (report.ChangedPages > 0)
        {
            page.Paragraph($"{Figures.Count(report.ChangedPages)} pages changed while they were compared, and count as different.", "note");
        }

        var guests = new HtmlTable("The guests", "guest", "tenant", "kernel", ">memory");
        foreach (SharingReport.Guest guest in report.Guests)
        {
            guests.Row(guest.Name, guest.Tenant ?? "none", guest.Release, Bytes(guest.MemoryBytes));
        }

        page.Table(guests);
    }

    private static void AddFigure(HtmlPage page, string caption, SharingReport.Row[] rows)
    {
        if (rows.Length == 0)
        {
            return;
        }

        page.Figure(caption, id => new BarsChart(
            id,
            "Bars of pages by class, each parted into pages held once, redundant within tenants, and redundant across tenants",
            [.. Parts.Select((part, number) => new ChartSeries(part, number))],
            [.. rows.Select(row => new BarsChart.Bar(
                "",
                row.Name,
                [Mebibytes(row.Distinct), Mebibytes(row.WithinTenants), Mebibytes(row.AcrossTenants)],
                0,
                $"{Figures.Percent(row.RedundantShare)} %"))],
            "MiB; at the end the redundant share",
            null));
    }

    private static double Mebibytes(long pages) => pages * (double)PageCensus.PageSize / ByteSize.MiB;

    private static string Bytes(long bytes) => Figures.Mebibytes(bytes / (double)PageCensus.PageSize);
}

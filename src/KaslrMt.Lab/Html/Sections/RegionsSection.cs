using System.Globalization;
using KaslrMt.Guests;
using KaslrMt.Lab.Experiments;
using KaslrMt.Layout;
using KaslrMt.Sharing;

namespace KaslrMt.Lab.Html.Sections;

/// <summary>Section 5 of the paper: which pages stay equal under each of the 64 policies (Tables 1 to 6), and the impact of each region (Table 7).</summary>
internal static class RegionsSection
{
    // Classes of the style sheet: heat-0 to heat-10.
    private const int Heats = 10;
    private const int PerCent = 100;

    /// <summary>Adds it to a page.</summary>
    public static void Add(HtmlPage page, RegionsReport report)
    {
        page.Section("What each region's randomization costs", $"{report.Policies.Count} policies × {report.Probes} {report.Guest} guests of {new ByteSize(report.MemoryBytes)}, kernel {report.Kernel}");
        page.Facts([
            ("guests", $"{report.Guest}, {report.Probes} for each policy"), ("kernel", report.Kernel), ("memory of each", new ByteSize(report.MemoryBytes).ToString()),
            ("run by", report.Accelerator), ("policies", report.Policies.Count.ToString(CultureInfo.InvariantCulture)), .. Figures.Origin(report.Measured)]);
        AddPaper(page, report);
        AddImpact(page, "The impact of randomizing a region", "by content", report.Impact);
        AddImpact(page, null, "at the same place", report.ImpactByPlace);
        AddPolicies(page, report);
        if (report.Skipped.Count > 0)
        {
            page.Paragraph($"Left out, because they did not boot: {string.Join(", ", report.Skipped)}", "note");
        }
    }

    private static void AddPaper(HtmlPage page, RegionsReport report)
    {
        page.Heading("Equal pages, beside the paper's");
        page.Figure(
            "Equal pages over all guests of a policy, by content, the mean over the policies named: the paper's figure (a bar where it gives a range) and what was measured.",
            id => new PairsChart(
                id,
                "Pairs of points for each class of pages: the paper's share of equal pages, and the measured one",
                [.. report.Paper.Select(row => Pair(row))],
                "paper",
                "measured"));
        var table = new HtmlTable("Equal pages, per cent", "pages", "policies", ">paper", ">by content", ">same place");
        foreach (RegionsReport.PaperRow row in report.Paper)
        {
            table.Row(row.Class, new HtmlCell(row.Policies, Style: "long"), row.Paper, Figures.Percent(row.ByContent), Figures.Percent(row.ByPlace));
        }

        page.Table(table);
    }

    private static PairsChart.Pair Pair(RegionsReport.PaperRow row)
    {
        // The paper's text is a number or a range, such as 25-30. As a decimal: double reads NaN, too, which JSON does not know.
        double[] bounds = [.. row.Paper.Split('-').Select(text =>
            decimal.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal value) ? (double)Math.Clamp(value, 0, PerCent) : 0)];
        return new PairsChart.Pair(row.Class, row.Policies, bounds[0], bounds[^1], row.ByContent * PerCent);
    }

    private static void AddImpact(HtmlPage page, string? heading, string by, IReadOnlyList<RegionsReport.ImpactRow> rows)
    {
        if (rows.Count == 0)
        {
            return;
        }

        if (heading is not null)
        {
            page.Heading(heading);
            page.Paragraph("The relative loss between the mean of equal pages over the policies that keep a region's base and over those that randomize it: none below 5 %, low to 15 %, med to 30 %, high above. The paper's word (Table 7) stands below.");
        }

        string[] classes = [.. rows.Select(row => row.Class).Distinct()];
        var table = new HtmlTable($"Impact, {by}: relative loss of equal pages, per cent", ["randomized", .. classes.Select(name => $">{name}")]) { Style = "impact" };
        foreach (IGrouping<string, RegionsReport.ImpactRow> region in rows.GroupBy(row => row.Region))
        {
            table.Row([region.Key, .. classes.Select(name => Cell(region.FirstOrDefault(row => row.Class == name)))]);
        }

        page.Table(table);
    }

    private static HtmlCell Cell(RegionsReport.ImpactRow? cell) =>
        cell is null ? "–" : new HtmlCell($"{cell.Level} {Figures.Percent(cell.Loss)}", $"paper: {cell.PaperLevel}", $"level-{Level(cell.Loss)}");

    // What is shaded follows from the number, not from a word in a file.
    private static string Level(double loss) => new Impact(default, default, 0, 0, loss).Level.ToString().ToLowerInvariant();

    private static void AddPolicies(HtmlPage page, RegionsReport report)
    {
        page.Heading("All policies", "page");
        page.Paragraph(
            "The digits of a policy stand for modules, vmemmap, vmalloc, physmap, kernel virtual and kernel physical: 1 is one base for all guests, 0 a random one for each. "
            + "Each field shows the share of pages whose content all guests have, in per cent and as shade, and beside it, smaller, the share that is equal at the same place of its region. Click a heading to sort.");
        var table = new HtmlTable(
            "Equal pages by policy and class, per cent (the paper's Tables 1 to 6)",
            ["policy", ">kept", ">guests", .. SharingTable.KernelClasses.Select(pageClass => $">{pageClass.Name()}")])
        {
            Sortable = true,
            Style = "heat inline",
        };
        foreach (RegionsReport.PolicyRow row in report.Policies.OrderByDescending(row => row.Policy, StringComparer.Ordinal))
        {
            HtmlCell policy = new(row.Policy, row.Policy == Policy.Default.ToString() ? "the default" : null, "policy");
            table.Row([
                policy,
                Figures.Count(row.Policy.Count(digit => digit == '1')),
                Figures.Count(row.Probes),
                .. row.Classes.Select(equal => new HtmlCell(
                    Figures.Percent(equal.ByContent), Figures.Percent(equal.ByPlace), string.Create(CultureInfo.InvariantCulture, $"heat-{(int)Math.Floor(equal.ByContent * Heats)}")))]);
        }

        page.Table(table);
    }
}

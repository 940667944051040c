using KaslrMt.Guests;
using System.Globalization;
using System.Text;
using KaslrMt.Cli.Output;
using KaslrMt.Sharing;

namespace KaslrMt.Lab.Experiments;

/// <summary>Prints what <c>experiment regions</c> measured, and writes it as CSV.</summary>
internal static class RegionsTables
{
    /// <summary>Tables 1 to 7 beside the paper's.</summary>
    public static void Print(TextWriter output, RegionsReport report)
    {
        output.WriteLine($"{report.Guest} guests, {report.Kernel}, {new ByteSize(report.MemoryBytes)}, {report.Accelerator}: equal pages over {report.Probes} probes of each policy, in per cent");
        output.WriteLine("Digits: modules, vmemmap, vmalloc, physmap, kernel virtual, kernel physical; 1 = one base for all probes, 0 = random for each.");
        output.WriteLine("First by content in all probes, behind the stroke at the same place in the region.");
        output.WriteLine();
        Table table = Report.Table(["policy", ">probes", .. SharingTable.KernelClasses.Select(pageClass => $">{pageClass.Name()}")]);
        foreach (RegionsReport.PolicyRow row in report.Policies.OrderByDescending(row => row.Policy, StringComparer.Ordinal))
        {
            table.Row([row.Policy, Number(row.Probes), .. row.Classes.Select(equal => $"{Percent(equal.ByContent)} / {Percent(equal.ByPlace)}")]);
        }

        Report.Print(output, table);
        output.WriteLine();
        table = Report.Table("pages", "policies", ">paper", ">by content", ">same place");
        foreach (RegionsReport.PaperRow row in report.Paper)
        {
            table.Row(row.Class, row.Policies, row.Paper, Percent(row.ByContent), Percent(row.ByPlace));
        }

        Report.Print(output, table);
        PrintImpact(output, "The impact of randomizing a region, by content", report.Impact);
        PrintImpact(output, "The same, at the same place", report.ImpactByPlace);
        if (report.Skipped.Count > 0)
        {
            output.WriteLine();
            output.WriteLine($"skipped, because they did not boot: {string.Join(", ", report.Skipped)}");
        }
    }

    /// <summary>Each policy's six classes.</summary>
    public static string PoliciesCsv(RegionsReport report)
    {
        var text = new StringBuilder("policy,probes,class,pages,zero,by_content,by_place\n");
        foreach (RegionsReport.PolicyRow row in report.Policies)
        {
            foreach (RegionsReport.ClassRow equal in row.Classes)
            {
                text.Append(CultureInfo.InvariantCulture, $"{row.Policy},{row.Probes},{equal.Name},{equal.Pages},{equal.Zero},{equal.ByContent},{equal.ByPlace}\n");
            }
        }

        return text.ToString();
    }

    /// <summary>Table 7.</summary>
    public static string ImpactCsv(RegionsReport report)
    {
        var text = new StringBuilder("by,region,class,fixed,random,loss,level,paper_level\n");
        foreach ((string by, IReadOnlyList<RegionsReport.ImpactRow> rows) in new[] { ("content", report.Impact), ("place", report.ImpactByPlace) })
        {
            foreach (RegionsReport.ImpactRow row in rows)
            {
                text.Append(CultureInfo.InvariantCulture, $"{by},{row.Region},{row.Class},{row.Fixed},{row.Random},{row.Loss},{row.Level},{row.PaperLevel}\n");
            }
        }

        return text.ToString();
    }

    private static void PrintImpact(TextWriter output, string heading, IReadOnlyList<RegionsReport.ImpactRow> rows)
    {
        if (rows.Count == 0)
        {
            return;
        }

        output.WriteLine();
        output.WriteLine($"{heading} (relative loss in per cent; none < 5, low 5-15, med 15-30, high > 30; the paper's word in brackets):");
        Table table = Report.Table(["randomized", .. SharingTable.KernelClasses.Select(pageClass => $">{pageClass.Name()}")]);
        foreach (IGrouping<string, RegionsReport.ImpactRow> region in rows.GroupBy(row => row.Region))
        {
            table.Row([region.Key, .. region.Select(cell => $"{cell.Level} {Percent(cell.Loss)} ({cell.PaperLevel})")]);
        }

        Report.Print(output, table);
    }

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);

    private static string Percent(double? share) => share is double value ? (value * 100).ToString("0.0", CultureInfo.InvariantCulture) : "";
}

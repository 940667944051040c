using System.Globalization;
using System.Text;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Sharing;

namespace KaslrMt.Cli.Experiments;

/// <summary>Prints what <c>experiment curve</c> measured, and writes it as CSV.</summary>
internal static class CurveTables
{
    /// <summary>Figures 4 and 5 beside the paper's, and KSM.</summary>
    public static void Print(TextWriter output, CurveReport report)
    {
        output.WriteLine($"{report.Guest} guests, {report.Kernel}, {new ByteSize(report.MemoryBytes)}, {report.Accelerator}: redundant kernel memory by the number of guests, in per cent");
        Table table = Report.Table([">guests", .. report.Modes.Select(mode => $">{mode.Name}"), .. report.Modes.Select(mode => $">paper {mode.Name}")]);
        int most = report.Modes.Max(mode => mode.Booted);
        foreach (int guests in Enumerable.Range(2, most - 1).Where(guests => guests <= 5 || guests % 5 == 0 || guests == most))
        {
            table.Row([Number(guests), .. report.Modes.Select(mode => Percent(PointOf(mode, guests)?.KernelRedundantShare)), .. report.Modes.Select(mode => Percent(Paper(report, mode, guests)))]);
        }

        Report.Print(output, table);
        output.WriteLine();
        output.WriteLine("By class, with all guests, in per cent of the class's pages:");
        table = Report.Table(["pages", .. report.Modes.Select(mode => $">{mode.Name}"), .. report.Modes.Select(mode => $">{mode.Name} pages")]);
        for (int i = 0; i < report.Modes[0].Classes.Count + 2; i++)
        {
            SharingReport.Row[] rows = [.. report.Modes.Select(mode => RowsOf(mode)[i])];
            if (rows.Any(row => row.Pages > 0))
            {
                table.Row([rows[0].Name, .. rows.Select(row => Percent(row.RedundantShare)), .. rows.Select(row => Number(row.Pages))]);
            }
        }

        Report.Print(output, table);
        PrintKsm(output, report);
        foreach (CurveReport.Mode mode in report.Modes.Where(mode => mode.Skipped.Count > 0))
        {
            output.WriteLine($"{mode.Name}: skipped, because they did not boot: {string.Join(", ", mode.Skipped)}");
        }
    }

    /// <summary>Figure 4.</summary>
    public static string CurveCsv(CurveReport report)
    {
        var text = new StringBuilder("mode,guests,kernel_pages,kernel_distinct,kernel_redundant,all_pages,all_distinct,all_redundant\n");
        foreach (CurveReport.Mode mode in report.Modes)
        {
            foreach (CurveReport.Point point in mode.Points)
            {
                text.Append(
                    CultureInfo.InvariantCulture,
                    $"{mode.Name},{point.Guests},{point.KernelPages},{point.KernelDistinct},{point.KernelRedundantShare},{point.AllPages},{point.AllDistinct},{point.AllRedundantShare}\n");
            }
        }

        return text.ToString();
    }

    /// <summary>Figure 5.</summary>
    public static string ClassesCsv(CurveReport report)
    {
        var text = new StringBuilder("mode,guests,class,pages,zero,distinct,redundant,redundant_share\n");
        foreach (CurveReport.Mode mode in report.Modes)
        {
            foreach (SharingReport.Row row in RowsOf(mode))
            {
                text.Append(CultureInfo.InvariantCulture, $"{mode.Name},{mode.Booted},{row.Name},{row.Pages},{row.Zero},{row.Distinct},{row.Redundant},{row.RedundantShare}\n");
            }
        }

        return text.ToString();
    }

    /// <summary>The host's KSM.</summary>
    public static string KsmCsv(CurveReport report)
    {
        var text = new StringBuilder("mode,guests,state,settled,seconds,scans,ksmd_seconds,shared,sharing,unshared,volatile,zero,held_by_counters,resident_before,held_pages,other_mergeable_bytes\n");
        foreach (CurveReport.Mode mode in report.Modes)
        {
            if (mode.Ksm is { } ksm)
            {
                text.Append(
                    CultureInfo.InvariantCulture,
                    $"{mode.Name},{mode.Booted},{ksm.Guests},{(ksm.Settled ? "yes" : "no")},{ksm.Seconds},{ksm.Scans},{ksm.ProcessorSeconds},{ksm.PagesShared},{ksm.PagesSharing},{ksm.PagesUnshared},{ksm.PagesVolatile},{ksm.ZeroPages},{ksm.HeldByCounters},{ksm.ResidentBefore},{ksm.HeldPages},{ksm.OtherMergeableBytes}\n");
            }
        }

        return text.ToString();
    }

    private static void PrintKsm(TextWriter output, CurveReport report)
    {
        CurveReport.Mode[] merged = [.. report.Modes.Where(mode => mode.Ksm is not null)];
        if (merged.Length == 0)
        {
            return;
        }

        output.WriteLine();
        output.WriteLine("The host's KSM at full speed on the same guests, standing still; pages of 4 KiB:");
        long? off = merged.FirstOrDefault(mode => mode.Name == ExperimentMode.Off.Name())?.Ksm!.HeldPages;
        Table table = Report.Table("KASLR", ">held", ">of off", ">before", ">shared", ">sharing", ">unshared", ">volatile", ">zero", ">settled in s", ">ksmd s", ">scans");
        foreach (CurveReport.Mode mode in merged)
        {
            CurveReport.Ksm ksm = mode.Ksm!;
            table.Row(
                mode.Name,
                Number(ksm.HeldPages),
                off is > 0 and long baseline ? ((double)ksm.HeldPages / baseline).ToString("0.000", CultureInfo.InvariantCulture) : "",
                Number(ksm.ResidentBefore),
                Number(ksm.PagesShared),
                Number(ksm.PagesSharing),
                Number(ksm.PagesUnshared),
                Number(ksm.PagesVolatile),
                ksm.ZeroPages is long zero ? Number(zero) : "",
                ksm.Settled ? ksm.Seconds.ToString("0.0", CultureInfo.InvariantCulture) : "no",
                ksm.ProcessorSeconds?.ToString("0.0", CultureInfo.InvariantCulture) ?? "",
                Number(ksm.Scans));
        }

        Report.Print(output, table);
    }

    private static IReadOnlyList<SharingReport.Row> RowsOf(CurveReport.Mode mode) => [.. mode.Classes, mode.KernelPages, mode.AllPages];

    private static CurveReport.Point? PointOf(CurveReport.Mode mode, int guests) => mode.Points.FirstOrDefault(point => point.Guests == guests);

    private static double? Paper(CurveReport report, CurveReport.Mode mode, int guests) => (guests, report.Paper.FirstOrDefault(paper => paper.Mode == mode.Name)) switch
    {
        (2, { } paper) => paper.Two,
        (30, { } paper) => paper.Thirty,
        _ => null,
    };

    private static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);

    private static string Percent(double? share) => share is double value ? (value * 100).ToString("0.00", CultureInfo.InvariantCulture) : "";
}

using System.Globalization;
using System.Text;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Sharing;
using KaslrMt.Hypervisors;
using KaslrMt.Sharing;

namespace KaslrMt.Lab.Experiments;

/// <summary>Prints what <c>experiment curve</c> measured, and writes it as CSV.</summary>
internal static class CurveTables
{
    private const int Letters = 26;

    /// <summary>Figures 4 and 5 beside the paper's, and KSM.</summary>
    public static void Print(TextWriter output, CurveReport report)
    {
        output.WriteLine($"{report.Guest} guests, {report.Kernel}, {new ByteSize(report.MemoryBytes)}, {report.Accelerator}");
        Table names = Report.Table("", "mode");
        for (int i = 0; i < report.Modes.Count; i++)
        {
            names.Row(Letter(i), report.Modes[i].Name);
        }

        Report.Print(output, names);
        PrintCurve(output, report);
        PrintClasses(output, report, "By class, with all guests, in per cent of the class's pages:", (_, row) => Percent(row.RedundantShare));
        PrintClasses(output, report, "Different contents, pages for each guest:", (mode, row) => PerGuest(row.Distinct, mode));
        PrintClasses(output, report, "Pages that no other guest has, for each guest:", (mode, row) => PerGuest(row.Unique, mode));
        PrintTenants(output, report);
        PrintKsm(output, report);
        PrintCost(output, report);
        foreach (CurveReport.Mode mode in report.Modes.Where(mode => mode.Skipped.Count > 0))
        {
            output.WriteLine($"{mode.Name}: skipped, because they did not boot: {string.Join(", ", mode.Skipped)}");
        }
    }

    /// <summary>Figure 4.</summary>
    public static string CurveCsv(CurveReport report)
    {
        var text = new StringBuilder("mode,guests,kernel_pages,kernel_distinct,kernel_redundant,all_pages,all_distinct,all_redundant,label\n");
        foreach (CurveReport.Mode mode in report.Modes)
        {
            foreach (CurveReport.Point point in mode.Points)
            {
                text.Append(
                    CultureInfo.InvariantCulture,
                    $"{mode.Name},{point.Guests},{point.KernelPages},{point.KernelDistinct},{point.KernelRedundantShare},{point.AllPages},{point.AllDistinct},{point.AllRedundantShare},{Quoted(mode.Label)}\n");
            }
        }

        return text.ToString();
    }

    /// <summary>Figure 5.</summary>
    public static string ClassesCsv(CurveReport report)
    {
        var text = new StringBuilder("mode,guests,class,pages,zero,distinct,redundant,redundant_share,unique,within_tenants,across_tenants,label\n");
        foreach (CurveReport.Mode mode in report.Modes)
        {
            foreach (SharingReport.Row row in RowsOf(mode))
            {
                text.Append(CultureInfo.InvariantCulture, $"{mode.Name},{mode.Booted},{row.Name},{row.Pages},{row.Zero},{row.Distinct},{row.Redundant},{row.RedundantShare},{row.Unique},{row.WithinTenants},{row.AcrossTenants},{Quoted(mode.Label)}\n");
            }
        }

        return text.ToString();
    }

    /// <summary>The host's KSM.</summary>
    public static string KsmCsv(CurveReport report)
    {
        var text = new StringBuilder("mode,guests,state,settled,seconds,scans,ksmd_seconds,shared,sharing,unshared,volatile,zero,held_by_counters,resident_before,held_pages,other_mergeable_bytes,mean_boot_seconds,label\n");
        foreach (CurveReport.Mode mode in report.Modes)
        {
            if (mode.Ksm is { } ksm)
            {
                text.Append(
                    CultureInfo.InvariantCulture,
                    $"{mode.Name},{mode.Booted},{ksm.Guests},{(ksm.Settled ? "yes" : "no")},{ksm.Seconds},{ksm.Scans},{ksm.ProcessorSeconds},{ksm.PagesShared},{ksm.PagesSharing},{ksm.PagesUnshared},{ksm.PagesVolatile},{ksm.ZeroPages},{ksm.HeldByCounters},{ksm.ResidentBefore},{ksm.HeldPages},{ksm.OtherMergeableBytes},{mode.MeanBootSeconds},{Quoted(mode.Label)}\n");
            }
        }

        return text.ToString();
    }

    /// <summary>What the guests cost the host.</summary>
    public static string CostCsv(CurveReport report)
    {
        var text = new StringBuilder("mode,guests,guest_ram_bytes,hypervisor_bytes,file_bytes,program_bytes,total_bytes,translated_code_bytes,label\n");
        foreach (CurveReport.Mode mode in report.Modes)
        {
            if (mode.Cost is { } cost)
            {
                text.Append(
                    CultureInfo.InvariantCulture,
                    $"{mode.Name},{cost.Vms},{cost.GuestRam},{cost.Hypervisors},{cost.Files},{cost.Program},{cost.Total},{cost.TranslatedCode},{Quoted(mode.Label)}\n");
            }
        }

        return text.ToString();
    }

    // Modes have long names, and there may be many: columns have letters.
    private static string Letter(int mode) => mode < Letters ? $"{(char)('A' + mode)}" : $"{Letter((mode / Letters) - 1)}{Letter(mode % Letters)}";

    private static string[] Columns(CurveReport report) => [.. report.Modes.Select((_, i) => $">{Letter(i)}")];

    private static void PrintCurve(TextWriter output, CurveReport report)
    {
        output.WriteLine();
        output.WriteLine("Redundant kernel memory by the number of guests, in per cent:");
        Table table = Report.Table([">guests", .. Columns(report)]);
        int most = report.Modes.Max(mode => mode.Booted);
        foreach (int guests in Enumerable.Range(2, most - 1).Where(guests => guests <= 5 || guests % 5 == 0 || guests == most))
        {
            table.Row([Number(guests), .. report.Modes.Select(mode => Percent(PointOf(mode, guests)?.KernelRedundantShare))]);
        }

        foreach (int guests in (int[])[2, 30])
        {
            table.Row([$"the paper: {guests}", .. report.Modes.Select(mode => Percent(Paper(report, mode, guests)))]);
        }

        Report.Print(output, table);
    }

    private static void PrintClasses(TextWriter output, CurveReport report, string title, Func<CurveReport.Mode, SharingReport.Row, string> cell)
    {
        output.WriteLine();
        output.WriteLine(title);
        Table table = Report.Table(["pages", .. Columns(report)]);
        for (int i = 0; i < report.Modes[0].Classes.Count + 2; i++)
        {
            SharingReport.Row[] rows = [.. report.Modes.Select(mode => RowsOf(mode)[i])];
            if (rows.Any(row => row.Pages > 0))
            {
                table.Row([rows[0].Name, .. report.Modes.Select((mode, j) => cell(mode, rows[j]))]);
            }
        }

        Report.Print(output, table);
    }

    private static void PrintTenants(TextWriter output, CurveReport report)
    {
        CurveReport.Mode[] several = [.. report.Modes.Where(mode => mode.Policy is not null && mode.Tenants > 1)];
        if (several.Length == 0)
        {
            return;
        }

        output.WriteLine();
        output.WriteLine("Of several tenants' kernel pages, in per cent, by what repeats them:");
        Table table = Report.Table("mode", ">tenants", ">their own tenant's", ">only another tenant's", ">nothing");
        foreach (CurveReport.Mode mode in several)
        {
            SharingReport.Row row = mode.KernelPages;
            double all = Math.Max(row.Pages, 1);
            table.Row(mode.Name, Number(mode.Tenants), Percent(row.WithinTenants / all), Percent(row.AcrossTenants / all), Percent(row.Distinct / all));
        }

        Report.Print(output, table);
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
        long? off = HeldBy(merged, new CurveMode(ExperimentMode.Off)), zeroed = HeldBy(merged, new CurveMode(ExperimentMode.Off, FreePages: FreePages.Zeroed));
        Table held = Report.Table("", ">held", ">of off", ">of off, zeroed", ">before", ">settled in s", ">ksmd s", ">scans");
        Table counters = Report.Table("", ">shared", ">sharing", ">unshared", ">volatile", ">zero");
        for (int i = 0; i < report.Modes.Count; i++)
        {
            if (report.Modes[i].Ksm is { } ksm)
            {
                held.Row(
                    Letter(i),
                    Number(ksm.HeldPages),
                    Ratio(ksm.HeldPages, off),
                    Ratio(ksm.HeldPages, zeroed),
                    Number(ksm.ResidentBefore),
                    ksm.Settled ? ksm.Seconds.ToString("0.0", CultureInfo.InvariantCulture) : "no",
                    ksm.ProcessorSeconds?.ToString("0.0", CultureInfo.InvariantCulture) ?? "",
                    Number(ksm.Scans));
                counters.Row(
                    Letter(i), Number(ksm.PagesShared), Number(ksm.PagesSharing), Number(ksm.PagesUnshared), Number(ksm.PagesVolatile), ksm.ZeroPages is long zero ? Number(zero) : "");
            }
        }

        Report.Print(output, held);
        output.WriteLine();
        output.WriteLine("KSM's own counters, of all memory on this host that it may merge:");
        Report.Print(output, counters);
    }

    private static void PrintCost(TextWriter output, CurveReport report)
    {
        if (report.Modes.All(mode => mode.Cost is null))
        {
            return;
        }

        output.WriteLine();
        output.WriteLine("What a guest costs the host after KSM, all in; MiB for each guest, without TCG's translated code:");
        Table table = Report.Table("", ">guest's RAM", ">QEMU", ">files", ">kaslrmt", ">all", ">of off", ">of stock");
        long? Total(ExperimentMode wanted) => report.Modes.FirstOrDefault(mode => mode.Name == new CurveMode(wanted).Name)?.Cost?.PerVm;
        for (int i = 0; i < report.Modes.Count; i++)
        {
            if (report.Modes[i].Cost is { } cost)
            {
                table.Row(
                    Letter(i),
                    PerVm(cost.GuestRam, cost),
                    PerVm(cost.Hypervisors, cost),
                    PerVm(cost.Files, cost),
                    PerVm(cost.Program, cost),
                    PerVm(cost.Total, cost),
                    Ratio(cost.PerVm, Total(ExperimentMode.Off)),
                    Ratio(cost.PerVm, Total(ExperimentMode.Stock)));
            }
        }

        Report.Print(output, table);
        output.WriteLine("files: kernels that QEMU keeps mapped, and prepared kernels where their cache is in memory; kaslrmt: this process, which does an agent's work here");
    }

    private static string PerVm(long bytes, HostCost cost) => (bytes / (double)ByteSize.MiB / Math.Max(cost.Vms, 1)).ToString("0.0", CultureInfo.InvariantCulture);

    private static long? HeldBy(CurveReport.Mode[] merged, CurveMode wanted) => merged.FirstOrDefault(mode => mode.Name == wanted.Name)?.Ksm!.HeldPages;

    private static string Ratio(long pages, long? baseline) => baseline is > 0 and long all ? ((double)pages / all).ToString("0.000", CultureInfo.InvariantCulture) : "";

    private static IReadOnlyList<SharingReport.Row> RowsOf(CurveReport.Mode mode) => [.. mode.Classes, mode.KernelPages, mode.AllPages];

    private static CurveReport.Point? PointOf(CurveReport.Mode mode, int guests) => mode.Points.FirstOrDefault(point => point.Guests == guests);

    private static double? Paper(CurveReport report, CurveReport.Mode mode, int guests) => (guests, report.Paper.FirstOrDefault(paper => paper.Mode == mode.Name)) switch
    {
        (2, { } paper) => paper.Two,
        (30, { } paper) => paper.Thirty,
        _ => null,
    };

    private static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);

    private static string PerGuest(long pages, CurveReport.Mode mode) => ((double)pages / Math.Max(mode.Booted, 1)).ToString("0.0", CultureInfo.InvariantCulture);

    private static string Quoted(string label) => $"\"{label}\"";

    private static string Percent(double? share) => share is double value ? (value * 100).ToString("0.00", CultureInfo.InvariantCulture) : "";
}

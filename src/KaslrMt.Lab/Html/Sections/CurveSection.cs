using KaslrMt.Cli.Sharing;
using KaslrMt.Guests;
using KaslrMt.Lab.Experiments;
using KaslrMt.Layout;
using KaslrMt.Sharing;

namespace KaslrMt.Lab.Html.Sections;

/// <summary>Section 8 of the paper: redundant memory by the number of guests and by class (Figures 4 and 5), and the host's KSM.</summary>
internal static class CurveSection
{
    private const int PerCent = 100;
    private static readonly int[] Landmarks = [2, 3, 4, 5, 10, 15, 20, 30, 50, 100];
    private static readonly string[] KernelClasses = [.. SharingTable.KernelClasses.Select(pageClass => pageClass.Name())];

    /// <summary>Adds it to a page.</summary>
    public static void Add(HtmlPage page, CurveReport report)
    {
        IReadOnlyList<CurveReport.Mode> modes = report.Modes;
        page.Section("Memory shared, by number of guests", $"up to {modes.Max(mode => mode.Booted)} {report.Guest} guests of {new ByteSize(report.MemoryBytes)}, kernel {report.Kernel}");
        page.Facts([
            ("guests", $"{report.Guest}, {report.Guests} of each mode"), ("kernel", report.Kernel), ("memory of each", new ByteSize(report.MemoryBytes).ToString()),
            ("run by", report.Accelerator), ("modes", string.Join(", ", modes.Select(mode => mode.Name))), .. Figures.Origin(report.Measured)]);
        page.Tiles([.. modes.Select(mode => Tile(mode, modes[0]))]);
        AddCurve(page, report);
        AddClasses(page, modes);
        AddKsm(page, modes);
        AddCost(page, modes);
        string[] skipped = [.. modes.SelectMany(mode => mode.Skipped)];
        if (skipped.Length > 0)
        {
            page.Paragraph($"Left out, because they did not boot: {string.Join(", ", skipped)}", "note");
        }
    }

    private static (string Label, string Figure, string Note) Tile(CurveReport.Mode mode, CurveReport.Mode first) => (
        mode.Name,
        Figures.PercentSign(mode.Points[^1].KernelRedundantShare),
        $"of kernel memory is redundant with {mode.Booted} guests{Held(mode, first)}");

    private static string Held(CurveReport.Mode mode, CurveReport.Mode first) => (mode.Ksm, first.Ksm) switch
    {
        ({ } own, { } other) when mode != first => $"; after KSM the host holds {Figures.Mebibytes(own.HeldPages)}, {Figures.Times(own.HeldPages, other.HeldPages)} {first.Name}",
        ({ } own, _) => $"; after KSM the host holds {Figures.Mebibytes(own.HeldPages)}",
        _ => "",
    };

    private static void AddCurve(HtmlPage page, CurveReport report)
    {
        IReadOnlyList<CurveReport.Mode> modes = report.Modes;
        (string Mode, int Guests, double Share)[] paper = [.. report.Paper
            .Where(paper => modes.Any(mode => mode.Name == paper.Mode))
            .SelectMany(paper => new[] { (paper.Mode, 2, paper.Two), (paper.Mode, 30, paper.Thirty) })];
        page.Heading("Redundant kernel memory");
        page.Figure(
            "Redundant kernel memory by the number of guests: pages less distinct contents, of all kernel pages of the first guests. Solid symbols are measured; hollow ones are the paper's Figure 4 (Linux 5.0.6, Ubuntu 19.04), given there for 2 and 30 guests.",
            id => new LinesChart(
                id,
                $"Lines of redundant kernel memory in per cent over the number of guests, one for each of {string.Join(", ", modes.Select(mode => mode.Name))}",
                [.. modes.Select(mode => page.Series("mode", mode.Name))],
                [.. modes.SelectMany(mode => mode.Points.Where(point => point.Guests > 1).Select(point => new LinesChart.Point(mode.Name, point.Guests, point.KernelRedundantShare * PerCent)))],
                [.. paper.Select(point => new LinesChart.Point(point.Mode, point.Guests, point.Share * PerCent))],
                "paper",
                "guests",
                "redundant kernel memory, per cent"));
        string[] known = [.. paper.Select(point => point.Mode).Distinct()];
        int most = modes.Max(mode => mode.Points.Count);
        int[] few = [.. Landmarks.Where(guests => guests < most), most];
        AddPoints(few, null);
        if (few.Length < most - 1)
        {
            AddPoints([.. Enumerable.Range(1, most)], $"All points of the curves, 1 to {most} guests");
        }

        void AddPoints(int[] counts, string? folded)
        {
            var table = new HtmlTable(
                "Redundant kernel memory by the number of guests, per cent",
                [">guests", .. modes.Select(mode => $">{mode.Name}"), .. known.Select(name => $">paper: {name}")])
            {
                Folded = folded,
            };
            foreach (int guests in counts)
            {
                table.Row([
                    Figures.Count(guests),
                    .. modes.Select(mode => (HtmlCell)Figures.Percent(mode.Points.ElementAtOrDefault(guests - 1)?.KernelRedundantShare)),
                    .. known.Select(name => new HtmlCell(PaperText(paper, name, guests)))]);
            }

            page.Table(table);
        }
    }

    private static string PaperText((string Mode, int Guests, double Share)[] paper, string mode, int guests) =>
        paper.Where(point => point.Mode == mode && point.Guests == guests).Select(point => Figures.Percent(point.Share)).FirstOrDefault("");

    private static void AddClasses(HtmlPage page, IReadOnlyList<CurveReport.Mode> modes)
    {
        page.Heading("By what pages hold");
        page.Figure(
            "Redundant pages of each of the paper's six classes with all guests, per cent of the class's pages (the paper's Figure 5).",
            id => new BarsChart(
                id,
                "Bars of redundant pages in per cent, grouped by class of pages, one bar for each mode",
                [.. modes.Select(mode => page.Series("mode", mode.Name))],
                [.. KernelClasses.SelectMany(name => modes.SelectMany((mode, part) => mode.Classes
                    .Where(row => row.Name == name)
                    .Select(row => new BarsChart.Bar(name, mode.Name, [row.RedundantShare * PerCent], part, Figures.Percent(row.RedundantShare)))))],
                "redundant, per cent of the class",
                PerCent));
        var table = new HtmlTable(
            "Redundant pages by class with all guests: per cent of the class, and below how many pages the class has",
            ["pages", .. modes.Select(mode => $">{mode.Name}")]);
        int rows = modes[0].Classes.Count;
        for (int i = 0; i < rows + 2; i++)
        {
            SharingReport.Row[] row = [.. modes.Select(mode => i < rows ? mode.Classes[i] : i == rows ? mode.KernelPages : mode.AllPages)];
            if (row.Any(counted => counted.Pages > 0))
            {
                string name = i == rows ? "kernel (the six classes)" : i > rows ? "all memory" : row[0].Name;
                table.Row([
                    new HtmlCell(name, Style: i >= rows ? "sum" : null),
                    .. row.Select(counted => new HtmlCell(Figures.Percent(counted.RedundantShare), Figures.Count(counted.Pages), i >= rows ? "sum" : null))]);
            }
        }

        page.Table(table);
    }

    private static void AddKsm(HtmlPage page, IReadOnlyList<CurveReport.Mode> modes)
    {
        CurveReport.Mode[] merged = [.. modes.Where(mode => mode.Ksm is not null)];
        if (merged.Length == 0)
        {
            return;
        }

        long first = merged[0].Ksm!.HeldPages;
        page.Heading("What the host's KSM makes of it");
        page.Figure(
            $"Pages that the host still holds for the guests' memory once its KSM has settled on the same guests, standing still. Multiples are of {merged[0].Name}.",
            id => new BarsChart(
                id,
                "Bars of memory held by the host after KSM has settled, one for each mode",
                [.. modes.Select(mode => page.Series("mode", mode.Name))],
                [.. merged.Select(mode => new BarsChart.Bar(
                    "",
                    mode.Name,
                    [mode.Ksm!.HeldPages * (double)PageCensus.PageSize / ByteSize.MiB],
                    modes.ToList().IndexOf(mode),
                    $"{Figures.Mebibytes(mode.Ksm.HeldPages)} · {Figures.Times(mode.Ksm.HeldPages, first)}"))],
                "held by the host, MiB",
                null));
        var table = new HtmlTable(
            "KSM on the same guests; pages of 4 KiB",
            "mode", ">held", $">of {merged[0].Name}", ">before", ">shared", ">sharing", ">unshared", ">zero", ">settled in s", ">ksmd s", ">scans");
        foreach (CurveReport.Mode mode in merged)
        {
            CurveReport.Ksm ksm = mode.Ksm!;
            table.Row(
                mode.Name, Figures.Count(ksm.HeldPages), Figures.Times(ksm.HeldPages, first), Figures.Count(ksm.ResidentBefore), Figures.Count(ksm.PagesShared), Figures.Count(ksm.PagesSharing),
                Figures.Count(ksm.PagesUnshared), ksm.ZeroPages is long zero ? Figures.Count(zero) : "–", ksm.Settled ? Figures.Number(ksm.Seconds) : "did not", Figures.Number(ksm.ProcessorSeconds), Figures.Count(ksm.Scans));
        }

        page.Table(table);
        page.Paragraph("shared, sharing, unshared and zero are KSM's counters for all memory of the host that may be merged; held counts the guests' alone (Pss).", "note");
    }

    private static void AddCost(HtmlPage page, IReadOnlyList<CurveReport.Mode> modes)
    {
        CurveReport.Mode[] counted = [.. modes.Where(mode => mode.Cost is not null)];
        if (counted.Length == 0)
        {
            return;
        }

        page.Heading("What a guest costs the host, all in");
        var table = new HtmlTable(
            "Memory of the host for each guest after KSM, MiB", "mode", ">guest's RAM", ">QEMU", ">files in memory", ">kaslrmt", ">all", $">of {counted[0].Name}");
        foreach (CurveReport.Mode mode in counted)
        {
            HostCost cost = mode.Cost!;
            string PerVm(long bytes) => Figures.Number(Math.Round(bytes / (double)ByteSize.MiB / cost.Vms, 1));
            table.Row(
                mode.Name, PerVm(cost.GuestRam), PerVm(cost.Hypervisors), PerVm(cost.Files), PerVm(cost.Program), PerVm(cost.Total), Figures.Times(cost.PerVm, counted[0].Cost!.PerVm));
        }

        page.Table(table);
        page.Paragraph("QEMU without TCG's translated code, which a host with KVM does not have; files: kernels that QEMU keeps mapped, and prepared kernels where their cache is in memory; kaslrmt: the process that ran the experiment, which does an agent's work.", "note");
    }
}

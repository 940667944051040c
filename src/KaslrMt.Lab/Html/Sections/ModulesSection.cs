using System.Globalization;
using KaslrMt.Lab.Experiments.Modules;
using KaslrMt.Lab.Results;

namespace KaslrMt.Lab.Html.Sections;

/// <summary>Section 9 of the paper: order and addresses of modules between boots (Figure 6), and what brings them together.</summary>
internal static class ModulesSection
{
    private const int PerCent = 100;

    /// <summary>Adds it to a page.</summary>
    public static void Add(HtmlPage page, ModuleReport report)
    {
        page.Section("Modules between boots", $"{report.Guest} guests with {report.Cpus} processors, kernel {report.Kernel}");
        page.Facts([
            ("guests", report.Guest), ("kernel", report.Kernel), ("processors of each", report.Cpus.ToString(CultureInfo.InvariantCulture)),
            ("run by", report.Accelerator), ("options", string.Join(", ", report.Options.Select(option => option.Option))), .. Figures.Origin(report.Measured)]);
        AddOptions(page, report);
        for (int i = 0; i < report.Options.Count; i++)
        {
            AddBoots(page, report.Options[i]);
        }
    }

    private static void AddOptions(HtmlPage page, ModuleReport report)
    {
        string[] classes = ["module text", "module code", "module data"];
        page.Heading("Equal pages, by what is done about it");
        page.Figure(
            "Pages whose content every boot has, per cent: the modules' own text; all that is executable in the modules' area; and module data.",
            id => new BarsChart(
                id,
                "Bars of equal pages in per cent, grouped by kind of page, one bar for each option",
                [.. report.Options.Select(option => page.Series("option", option.Option))],
                [.. classes.SelectMany((name, number) => report.Options.Select((option, part) =>
                    new BarsChart.Bar(name, option.Option, [Shares(option)[number] * PerCent], part, Figures.Percent(Shares(option)[number]))))],
                "equal in all boots, per cent",
                PerCent));
        var table = new HtmlTable(
            "Options, over all boots of each; equal pages in per cent, and below how many a boot has",
            "option", "what it does", ">boots", ">modules", ">same address", ">orders", ">text equal", ">code equal", ">data equal", ">page tables", ">median boot s");
        foreach (ModuleReport.Outcome option in report.Options)
        {
            table.Row(
                option.Option, new HtmlCell(option.What, Style: "long"), Figures.Count(option.Boots.Count), Figures.Count(option.Modules), Figures.Count(option.SameAddress), Figures.Count(option.Orders),
                new HtmlCell(Figures.Percent(option.EqualText), Figures.Number(option.TextPages)), new HtmlCell(Figures.Percent(option.EqualCode), Figures.Number(option.CodePages)),
                new HtmlCell(Figures.Percent(option.EqualData), Figures.Number(option.DataPages)), Figures.Number(option.PageTables), Figures.Number(option.MedianBootSeconds));
        }

        page.Table(table);
    }

    private static double[] Shares(ModuleReport.Outcome option) => [option.EqualText, option.EqualCode, option.EqualData];

    private static void AddBoots(HtmlPage page, ModuleReport.Outcome option)
    {
        // Names in the order of the first boot that has them, as in the paper's figure.
        string[] names = [.. option.Boots.SelectMany(boot => boot.Select(module => module.Name)).Distinct()];
        if (names.Length == 0)
        {
            return;
        }

        string[] boots = [.. Enumerable.Range(1, option.Boots.Count).Select(boot => string.Create(CultureInfo.InvariantCulture, $"boot {boot}"))];
        Dictionary<string, ulong>[] addresses = [.. option.Boots.Select(boot => boot.GroupBy(module => module.Name).ToDictionary(same => same.Key, same => Address(same.First())))];
        ulong lowest = addresses.SelectMany(boot => boot.Values).Min();
        page.Heading($"Addresses: {option.Option}");
        page.Figure(
            $"Where each module's text lies in {option.Boots.Count} boots ({option.What}): one symbol for each boot, from 0x{lowest:x} up. Symbols that lie on one another are one address; a line joins those of a module that moves.{(boots.Length > 8 ? " The first eight boots are drawn." : "")}",
            id => new DotsChart(
                id,
                $"Addresses of {names.Length} modules in {option.Boots.Count} boots with the option {option.Option}",
                [.. boots.Select((boot, number) => new ChartSeries(boot, number))],
                names,
                [.. addresses.SelectMany((boot, number) => boot.Select(module => new DotsChart.Dot(module.Key, boots[number], (module.Value - lowest) / (double)ByteSize.MiB, $"0x{module.Value:x}")))],
                "MiB above the lowest"));
        var table = new HtmlTable(
            $"Addresses with {option.Option}, and beside each the module's place in the order of its boot",
            ["module", "between boots", .. boots.Select(boot => $">{boot}")])
        {
            Folded = $"All {names.Length} addresses of {option.Option}",
            Style = "inline",
        };
        foreach (string name in names)
        {
            ulong[] seen = [.. addresses.Where(boot => boot.ContainsKey(name)).Select(boot => boot[name]).Distinct()];
            bool everywhere = addresses.All(boot => boot.ContainsKey(name));
            table.Row([
                name,
                new HtmlCell(!everywhere ? "not in all" : seen.Length == 1 ? "same" : "moves", Style: everywhere && seen.Length == 1 ? "same" : "moves"),
                .. option.Boots.Select((boot, number) => addresses[number].TryGetValue(name, out ulong address)
                    ? new HtmlCell($"{address:x}", $"{boot.TakeWhile(module => module.Name != name).Count() + 1}", "address")
                    : "–")]);
        }

        page.Table(table);
    }

    private static ulong Address(ModuleReport.BootedModule module) => ResultsShape.TryAddress(module.Address, out ulong address) ? address : 0;
}

using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Hypervisors;
using KaslrMt.Layout;

namespace KaslrMt.Cli.Experiments.Modules;

/// <summary><c>kaslrmt experiment modules</c>: the paper's Figure 6, and what can be done about it.</summary>
internal static class ModulesCommand
{
    public static Command Create()
    {
        var kind = new Option<string>("--guest")
        {
            Description = "minimal (busybox and a dozen modules, in a fixed order) or debian (eng/guests.sh)",
            HelpName = "KIND",
            DefaultValueFactory = _ => GuestRecipes.Debian,
        };
        kind.AcceptOnlyFromAmong(GuestRecipes.Minimal, GuestRecipes.Debian);
        Option<string> kernel = new Option<string>("--kernel") { Description = "The kernel's name in the cache", HelpName = "NAME", DefaultValueFactory = _ => "6.1-cloud" }.NotEmpty();
        var memory = new Option<string>("--memory") { Description = "RAM of each guest", HelpName = "SIZE", DefaultValueFactory = _ => "256M" };
        Option<int> boots = CommonOptions.Number(["--boots"], standard: 4, least: 2, most: 100);
        boots.Description = "Boots of each option";
        boots.HelpName = "N";
        Option<int> cpus = CommonOptions.Number(["--cpus"], standard: 2, least: 1, most: 16);
        cpus.Description = "Virtual CPUs of each guest";
        cpus.HelpName = "N";
        Option<int> limit = CommonOptions.Number(["--boot-limit"], standard: 300, least: 1, most: 3600);
        limit.Description = "Seconds a guest may take to settle";
        limit.HelpName = "SECONDS";
        var chosen = new Option<string[]>("--option")
        {
            Description = $"Measure these only: {string.Join(", ", ModuleOption.All.Select(option => option.Name))}; default: all",
            HelpName = "NAME",
            AllowMultipleArgumentsPerToken = true,
        };
        chosen.AcceptOnlyFromAmong([.. ModuleOption.All.Select(option => option.Name)]);
        Option<bool> json = CommonOptions.Json();
        var command = new Command(
            "modules",
            "Boot a guest of one tenant several times with each of the ways to bring modules to the same addresses, and show order, addresses, equal pages and boot time (the paper's Figure 6 and section 9)")
        {
            kind, kernel, memory, boots, cpus, limit, chosen, json,
        };
        command.SetAction(async (parsed, _) =>
        {
            string size = parsed.GetRequiredValue(memory);
            if (!ByteSize.TryParse(size, out ByteSize ram))
            {
                throw new KaslrMtException(CommandErrors.Usage, $"--memory '{Printable.Of(size, 40)}' is no size", "write it as 256M");
            }

            using var signals = new OwnerSignals();
            using var scratch = new ScratchFolder();
            GuestRecipe recipe = GuestRecipes.Find(parsed.GetRequiredValue(kind), parsed.GetRequiredValue(kernel), ram, scratch.Path) with { Cpus = parsed.GetValue(cpus) };
            string[] names = parsed.GetValue(chosen) ?? [];
            ModuleOption[] options = [.. ModuleOption.All.Where(option => names.Length == 0 || names.Contains(option.Name))];
            ExperimentHost host = ExperimentHost.Open(TimeSpan.FromSeconds(parsed.GetValue(limit)));
            using var key = TenantKey.Generate();
            var experiment = new ModulesExperiment(recipe, host, GuestLayout.OfTenant(key, Policy.Default), scratch.Path, Progress.To(parsed.InvocationConfiguration.Error));
            IReadOnlyList<ModuleReport.Outcome> outcomes = await experiment.RunAsync(options, parsed.GetValue(boots), signals.StopRequested).ConfigureAwait(false);
            var report = new ModuleReport(recipe.Name, parsed.GetRequiredValue(kernel), host.Accelerator.Argument, recipe.Cpus, outcomes) { Measured = Measurement.Of(parsed) };
            Report.Show(parsed.InvocationConfiguration.Output, parsed.GetValue(json), report, ReportJson.Default.ModuleReport, Print);
            return ExitCode.Success;
        });
        return command.WithExamples("kaslrmt experiment modules", "kaslrmt experiment modules --kernel 6.12-cloud --boots 6 --option plain by-name --json");
    }

    private static void Print(TextWriter output, ModuleReport report)
    {
        Table table = Report.Table("option", ">boots", ">modules", ">same address", ">orders", ">text pages", ">equal %", ">code pages", ">equal %", ">data pages", ">equal %", ">page tables", ">boot s");
        foreach (ModuleReport.Outcome row in report.Options)
        {
            table.Row(
                row.Option,
                Text(row.BootSeconds.Count),
                Text(row.Modules),
                Text(row.SameAddress),
                Text(row.Orders),
                Text(row.TextPages),
                Text(row.EqualText * 100),
                Text(row.CodePages),
                Text(row.EqualCode * 100),
                Text(row.DataPages),
                Text(row.EqualData * 100),
                Text(row.PageTables),
                Text(row.MedianBootSeconds));
        }

        Report.Print(output, table);
        foreach (ModuleReport.Outcome row in report.Options)
        {
            output.WriteLine();
            output.WriteLine($"{row.Option}: {row.What}");
            Figure(output, row.Boots[0], row.Boots[^1]);
        }
    }

    // Figure 6: two boots beside each other, in load order.
    private static void Figure(TextWriter output, IReadOnlyList<ModuleReport.BootedModule> first, IReadOnlyList<ModuleReport.BootedModule> last)
    {
        Table table = Report.Table("first boot", "address", "last boot", "address");
        for (int i = 0; i < Math.Max(first.Count, last.Count); i++)
        {
            (ModuleReport.BootedModule? left, ModuleReport.BootedModule? right) = (first.ElementAtOrDefault(i), last.ElementAtOrDefault(i));
            table.Row(left?.Name ?? "", left?.Address ?? "", right?.Name ?? "", right?.Address ?? "");
        }

        Report.Print(output, table);
    }

    private static string Text(double value) => value.ToString("0.#", CultureInfo.InvariantCulture);

    /// <summary>A folder for a run's own initrds, gone after it.</summary>
    private sealed class ScratchFolder : IDisposable
    {
        public string Path { get; } = Directory.CreateTempSubdirectory("kaslrmt-modules-").FullName;

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }
}

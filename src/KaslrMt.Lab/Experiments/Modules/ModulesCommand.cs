using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Hypervisors;

namespace KaslrMt.Lab.Experiments.Modules;

/// <summary><c>kaslrmt-lab experiment modules</c>: the paper's Figure 6, and what can be done about it.</summary>
internal static class ModulesCommand
{
    private const string Name = "modules";

    // Fingerprints of a boot's module pages as JSON, and the list's initrd.
    private const ulong BytesPerBoot = 2 << 20;
    private const ulong OtherBytes = 256 << 20;

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
        Option<string> output = new Option<string>("--output", "-o")
        {
            Description = "Where results are kept; an experiment that was interrupted goes on there",
            HelpName = "FOLDER",
            DefaultValueFactory = _ => $"./kaslrmt-experiment-{Name}",
        }.NotEmpty();
        Option<bool> json = CommonOptions.Json();
        var command = new Command(
            Name,
            "Boot a guest of one tenant several times with each of the ways to bring modules to the same addresses, and show order, addresses, equal pages and boot time (the paper's Figure 6 and section 9)")
        {
            kind, kernel, memory, boots, cpus, limit, chosen, output, json,
        };
        command.SetAction(async (parsed, _) =>
        {
            string size = parsed.GetRequiredValue(memory);
            if (!ByteSize.TryParse(size, out ByteSize ram))
            {
                throw new KaslrMtException(CoreErrors.Usage, $"--memory '{Printable.Of(size, 40)}' is no size", "write it as 256M");
            }

            using var signals = new OwnerSignals();
            string[] names = parsed.GetValue(chosen) ?? [];
            ModuleOption[] options = [.. ModuleOption.All.Where(option => names.Length == 0 || names.Contains(option.Name))];
            ExperimentHost host = ExperimentHost.Open(TimeSpan.FromSeconds(parsed.GetValue(limit)));
            string named = parsed.GetRequiredValue(kernel), place = parsed.GetRequiredValue(output);
            GuestRecipe recipe = ExperimentOptions.Recipe(parsed.GetRequiredValue(kind), named, ram, host) with { Cpus = parsed.GetValue(cpus) };
            ExperimentSettings settings = ExperimentSettings.Of(Name, recipe, named, host, parsed.GetValue(boots), [.. options.Select(option => option.Name)]);
            HostCapacity.Check(recipe, 1, place, ((ulong)settings.Guests * (ulong)options.Length * BytesPerBoot) + OtherBytes);

            using ExperimentFolder folder = ExperimentFolder.Open(place, settings);
            var experiment = new ModulesExperiment(recipe, host, folder, Progress.To(parsed.InvocationConfiguration.Error));
            IReadOnlyList<ModuleReport.Outcome> outcomes = await experiment.RunAsync(options, settings.Guests, signals.StopRequested).ConfigureAwait(false);
            var report = new ModuleReport(recipe.Name, named, host.Accelerator.Argument, recipe.Cpus, outcomes) { Measured = Measurement.Of(parsed) };
            folder.Write("results.json", report, LabJson.Default.ModuleReport);
            Report.Show(parsed.InvocationConfiguration.Output, parsed.GetValue(json), report, LabJson.Default.ModuleReport, Print);
            return ExitCode.Success;
        });
        return command.WithExamples("kaslrmt-lab experiment modules", "kaslrmt-lab experiment modules --kernel 6.12-cloud --boots 6 --option plain by-name -o results --json");
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
}

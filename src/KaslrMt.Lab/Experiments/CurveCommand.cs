using System.CommandLine;
using KaslrMt.Cli;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Sharing;
using KaslrMt.Hypervisors;
using KaslrMt.Layout;
using KaslrMt.Sharing;

namespace KaslrMt.Lab.Experiments;

/// <summary><c>kaslrmt-lab experiment curve</c>.</summary>
internal static class CurveCommand
{
    private const string Name = "curve";

    // A fingerprint of 16 bytes for each page of 4 KiB, and room to spare.
    private const ulong ResultShare = 200;

    public static Command Create()
    {
        var options = new ExperimentOptions(Name);
        Option<int> guests = CommonOptions.Number(["--guests"], standard: 30, least: 2, most: 256);
        guests.Description = "Guests of each mode";
        guests.HelpName = "N";
        var modes = new Option<string[]>("--mode")
        {
            Description = "Measure these modes only: off, stock, kaslr-mt, kaslr-mt-physical (the kernel's physical base is the tenant's too), kaslr-mt-physmap (and the direct map's), two-tenants (they take turns); "
                + "behind ours -by-name (--module-addresses by-name), behind any -zeroed (--free-pages zeroed) and -notrace (guests make no tracing files), in this order; "
                + $"default: {string.Join(' ', CurveMode.Standard.Select(mode => mode.Name))}",
            HelpName = "MODE",
            AllowMultipleArgumentsPerToken = true,
        };
        var policy = new Option<string>("--policy") { Description = "Which regions are the tenant's where the layout is ours", HelpName = "BITMAP", DefaultValueFactory = _ => Policy.Default.ToString() };
        var noKsm = new Option<bool>("--no-ksm") { Description = "Leave the host's KSM alone: count what could be merged, merge nothing" };
        Option<int> limit = CommonOptions.Number(["--ksm-limit"], standard: 900, least: 1, most: 86_400);
        limit.Description = "Seconds that KSM may take to settle in each mode";
        limit.HelpName = "SECONDS";
        Option<bool> json = CommonOptions.Json();
        var command = new Command(
            Name,
            "Boot N guests without KASLR, with their own, with one tenant's layout, and with what else a host can do, and show what they share by their number and by what pages hold, and what the host's real KSM makes of it (the paper's Figures 4 and 5)")
        {
            guests, modes, policy, noKsm, limit,
        };
        options.AddTo(command);
        command.Options.Add(json);
        command.SetAction(async (parsed, _) =>
        {
            using var signals = new OwnerSignals();
            Policy chosen = Policy.Parse(parsed.GetRequiredValue(policy));
            IReadOnlyList<CurveMode> wanted = CurveMode.Parse(parsed.GetValue(modes) ?? []);
            bool merges = !parsed.GetValue(noKsm);
            ExperimentHost host = options.Host(parsed);
            GuestRecipe recipe = options.Recipe(parsed, host);
            ExperimentSettings settings = ExperimentSettings.Of(
                Name, recipe, options.Kernel(parsed), host, parsed.GetValue(guests), [.. wanted.Select(mode => mode.Name)], $"policy {chosen}, {(merges ? "KSM" : "no KSM")}");
            HostCapacity.Check(recipe, settings.Guests, options.Output(parsed), (ulong)settings.Guests * (ulong)wanted.Count * recipe.Memory.Bytes / ResultShare);

            // Borrowed for the whole of it: another measurement must not start between two modes.
            KsmFolder? ksm = merges ? KsmCommand.Open() : null;
            using KsmSettingsLease? loan = ksm is null ? null : KsmSettingsLease.Take(ksm, KsmCommand.LoanNote);
            using ExperimentFolder folder = ExperimentFolder.Open(options.Output(parsed), settings);
            var experiment = new CurveExperiment(folder, recipe, host, Progress.To(parsed.InvocationConfiguration.Error))
            {
                Ksm = ksm is not null && loan is not null ? (ksm, loan) : null,
                KsmLimit = TimeSpan.FromSeconds(parsed.GetValue(limit)),
                Policy = chosen,
                Total = settings.Guests * wanted.Count(mode => !CurveExperiment.Has(folder, mode)),
            };
            int parallel = HostCapacity.Parallel(recipe, options.Parallel(parsed), settings.Guests);
            List<CurveReport.Mode> measured = [];
            foreach (CurveMode mode in wanted)
            {
                measured.Add(await experiment.MeasureAsync(mode, settings.Guests, parallel, signals.StopRequested).ConfigureAwait(false));
            }

            var report = new CurveReport(settings.Guest, settings.Kernel, settings.Memory, settings.Accelerator, settings.Guests, measured, PaperFigures.Curve) { Measured = Measurement.Of(parsed) };
            folder.Write("results.json", report, LabJson.Default.CurveReport);
            folder.Write("curve.csv", CurveTables.CurveCsv(report));
            folder.Write("classes.csv", CurveTables.ClassesCsv(report));
            folder.Write("ksm.csv", CurveTables.KsmCsv(report));
            folder.Write("cost.csv", CurveTables.CostCsv(report));
            Report.Show(parsed.InvocationConfiguration.Output, parsed.GetValue(json), report, LabJson.Default.CurveReport, CurveTables.Print);
            return ExitCode.Success;
        });
        return command.WithExamples(
            "kaslrmt-lab experiment curve", "kaslrmt-lab experiment curve --guest debian --memory 512M -o results", "kaslrmt-lab experiment curve --guests 3 --mode stock kaslr-mt kaslr-mt-by-name-zeroed --no-ksm");
    }
}

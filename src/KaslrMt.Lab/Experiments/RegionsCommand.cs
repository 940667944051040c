using System.CommandLine;
using KaslrMt.Cli;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Hypervisors;
using KaslrMt.Layout;

namespace KaslrMt.Lab.Experiments;

/// <summary><c>kaslrmt-lab experiment regions</c>.</summary>
internal static class RegionsCommand
{
    private const string Name = "regions";

    // Fingerprints of a guest's kernel pages do not compress.
    private const ulong BytesPerProbe = 512 << 10;

    public static Command Create()
    {
        var options = new ExperimentOptions(Name);
        Option<int> probes = CommonOptions.Number(["--probes"], standard: 8, least: 2, most: 64);
        probes.Description = "Boots for each policy";
        probes.HelpName = "N";
        var policies = new Option<string[]>("--policy")
        {
            Description = "Measure these policies only, such as 110010; default: all 64",
            HelpName = "BITMAP",
            AllowMultipleArgumentsPerToken = true,
        };
        Option<bool> json = CommonOptions.Json();
        var command = new Command(
            Name,
            "Boot each of the 64 policies several times and show how many pages stay equal, by what they hold; and which region's randomization costs how much (the paper's Tables 1 to 7)")
        {
            probes, policies,
        };
        options.AddTo(command);
        command.Options.Add(json);
        command.SetAction(async (parsed, _) =>
        {
            using var signals = new OwnerSignals();
            Policy[] chosen = [.. (parsed.GetValue(policies) ?? []).Select(text => Policy.Parse(text)).Distinct()];
            ExperimentHost host = options.Host(parsed);
            GuestRecipe recipe = options.Recipe(parsed, host);
            ExperimentSettings settings = ExperimentSettings.Of(
                Name, recipe, options.Kernel(parsed), host, parsed.GetValue(probes), [.. (chosen.Length > 0 ? [.. chosen] : Policy.All).Select(policy => policy.ToString())]);
            int boots = settings.Guests * settings.Variants.Count, parallel = HostCapacity.Parallel(recipe, options.Parallel(parsed), boots);
            HostCapacity.Check(recipe, parallel, options.Output(parsed), (ulong)boots * BytesPerProbe);

            using ExperimentFolder folder = ExperimentFolder.Open(options.Output(parsed), settings);
            Progress progress = Progress.To(parsed.InvocationConfiguration.Error);
            RegionsReport report = await new RegionsExperiment(folder, settings, new GuestBoots(recipe, host, progress), progress)
                .RunAsync(parallel, signals.StopRequested).ConfigureAwait(false);
            report = report with { Measured = Measurement.Of(parsed) };
            folder.Write("results.json", report, LabJson.Default.RegionsReport);
            folder.Write("regions.csv", RegionsTables.PoliciesCsv(report));
            folder.Write("impact.csv", RegionsTables.ImpactCsv(report));
            Report.Show(parsed.InvocationConfiguration.Output, parsed.GetValue(json), report, LabJson.Default.RegionsReport, RegionsTables.Print);
            return ExitCode.Success;
        });
        return command.WithExamples("kaslrmt-lab experiment regions", "kaslrmt-lab experiment regions --guest debian --memory 512M -o results", "kaslrmt-lab experiment regions --policy 110010 000000 --probes 3");
    }
}

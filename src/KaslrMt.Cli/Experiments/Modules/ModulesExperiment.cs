using System.Globalization;
using KaslrMt.Cli.Output;
using KaslrMt.Hypervisors;
using KaslrMt.Sharing;

namespace KaslrMt.Cli.Experiments.Modules;

/// <summary>Boots a guest again and again, the options in turn, so that what else the machine does strikes all alike.</summary>
/// <param name="recipe">What the guests are made of.</param>
/// <param name="host">What they run on.</param>
/// <param name="layout">Where their layout comes from: one tenant's.</param>
/// <param name="scratch">A folder for files that outlives the guests.</param>
/// <param name="progress">Says where it is.</param>
internal sealed class ModulesExperiment(GuestRecipe recipe, ExperimentHost host, GuestLayout layout, string scratch, Progress progress)
{
    private string? _listedInitrd;

    /// <summary>Measures.</summary>
    /// <param name="options">What to compare.</param>
    /// <param name="boots">How often to boot each.</param>
    /// <param name="stop">Gives up.</param>
    /// <exception cref="KaslrMtException">KMT6028 when an option had fewer than two boots; errors of the image and of QEMU.</exception>
    public async Task<IReadOnlyList<ModuleReport.Outcome>> RunAsync(IReadOnlyList<ModuleOption> options, int boots, CancellationToken stop)
    {
        Dictionary<ModuleOption, List<ModuleBoot>> done = options.ToDictionary(option => option, _ => new List<ModuleBoot>());
        ModuleBoot? first = null;
        for (int boot = 0; boot < boots; boot++)
        {
            foreach (ModuleOption option in options)
            {
                string label = string.Create(CultureInfo.InvariantCulture, $"{option.Name}-{boot + 1}");
                progress.Say($"booting {label}", done.Values.Sum(list => list.Count), boots * options.Count);
                if (option.ListsModules && first is null)
                {
                    first = await BootAsync(ModuleOption.All[0], "list", stop).ConfigureAwait(false);
                }

                if (await BootAsync(option, label, stop, first).ConfigureAwait(false) is { } seen)
                {
                    done[option].Add(seen);
                    first ??= option.Addresses == Kernels.ModuleAddresses.ByOrder ? seen : null;
                }
            }
        }

        progress.Clear();
        return [.. options.Select(option => done[option].Count >= 2
            ? ModuleReport.Outcome.Of(option, done[option])
            : throw new KaslrMtException(ExperimentErrors.TooFewGuests, $"{option.Name}: {done[option].Count} of {boots} guests booted, and two are the least", "raise --boot-limit"))];
    }

    private async Task<ModuleBoot?> BootAsync(ModuleOption option, string label, CancellationToken stop, ModuleBoot? first = null)
    {
        GuestRecipe guest = recipe with { CommandLine = recipe.CommandLine + option.CommandLine, Modules = option.Addresses };
        if (option.ListsModules && first is not null)
        {
            _listedInitrd ??= ModuleListArchive.WriteTo(recipe.Initrd, first.Modules.Select(module => module.Name), Path.Combine(scratch, "listed.initrd"));
            guest = guest with { Initrd = _listedInitrd };
        }

        try
        {
            await using ExperimentGuest running = await ExperimentGuest.BootAsync(guest, layout, label, host, stop).ConfigureAwait(false);
            return await ModuleBoot.ReadAsync(running, stop).ConfigureAwait(false);
        }
        catch (KaslrMtException error) when (error.Code == ExperimentErrors.BootFailed)
        {
            progress.Line($"kaslrmt: {label}: {error.Code}: {Printable.Of(error.Problem)}; skipped");
            return null;
        }
    }
}

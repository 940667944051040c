using System.Globalization;
using KaslrMt.Cli.Output;
using KaslrMt.Layout;
using KaslrMt.Sharing;

namespace KaslrMt.Lab.Experiments.Modules;

/// <summary>Boots a guest again and again, the options in turn, so that what else the machine does strikes all alike.</summary>
/// <param name="recipe">What the guests are made of.</param>
/// <param name="host">What they run on.</param>
/// <param name="folder">Where boots are kept: an interrupted experiment goes on with them.</param>
/// <param name="progress">Says where it is.</param>
internal sealed class ModulesExperiment(GuestRecipe recipe, ExperimentHost host, ExperimentFolder folder, Progress progress)
{
    // The boot whose modules are listed, where no option's boot is one that places them by order.
    private const string ListLabel = "list";

    private bool _listed;

    private string ListedInitrd => Path.Combine(folder.Path, "listed.initrd");

    /// <summary>Measures what is missing, and compares.</summary>
    /// <param name="options">What to compare.</param>
    /// <param name="boots">How often to boot each.</param>
    /// <param name="cancellationToken">Interrupts it; what is measured is kept.</param>
    /// <exception cref="KaslrMtException">KMT6028 when an option had fewer than two boots; errors of the image, of QEMU and of the disk.</exception>
    public async Task<IReadOnlyList<ModuleReport.Outcome>> RunAsync(IReadOnlyList<ModuleOption> options, int boots, CancellationToken cancellationToken)
    {
        string[] labels = [.. options.SelectMany(option => Enumerable.Range(0, boots).Select(boot => Label(option, boot)))];
        bool complete = labels.All(label => File.Exists(FileOf(label)));
        if (!complete && !folder.HasKey)
        {
            // Addresses follow from the tenant's key: those of another one tell nothing.
            Array.ForEach([.. labels, ListLabel], label => File.Delete(FileOf(label)));
        }

        Dictionary<ModuleOption, List<ModuleBoot>> done = options.ToDictionary(option => option, _ => new List<ModuleBoot>());
        using (TenantKey? key = complete ? null : folder.Key())
        {
            await MeasureAsync(options, boots, done, key is null ? null : GuestLayout.OfTenant(key, Policy.Default), cancellationToken).ConfigureAwait(false);
        }

        progress.Clear();
        if (done.Values.All(list => list.Count == boots))
        {
            folder.ForgetKey();
        }

        return [.. options.Select(option => done[option].Count >= 2
            ? ModuleReport.Outcome.Of(option, done[option])
            : throw new KaslrMtException(SharingErrors.ExperimentTooFewGuests, $"{option.Name}: {done[option].Count} of {boots} guests booted, and two are the least", "raise --boot-limit"))];
    }

    private static string Label(ModuleOption option, int boot) => string.Create(CultureInfo.InvariantCulture, $"{option.Name}-{boot + 1}");

    private static string NameOf(string label) => Path.Combine("probes", $"{label}.json");

    private string FileOf(string label) => Path.Combine(folder.Path, NameOf(label));

    private async Task MeasureAsync(IReadOnlyList<ModuleOption> options, int boots, Dictionary<ModuleOption, List<ModuleBoot>> done, GuestLayout? layout, CancellationToken cancellationToken)
    {
        ModuleBoot? first = null;
        int missing = options.Sum(option => Enumerable.Range(0, boots).Count(boot => !File.Exists(FileOf(Label(option, boot))))), booted = 0;
        try
        {
            for (int boot = 0; boot < boots; boot++)
            {
                foreach (ModuleOption option in options)
                {
                    string label = Label(option, boot);
                    ModuleBoot? seen = folder.Read(NameOf(label), ExperimentJson.Default.ModuleBoot);
                    if (seen is null && layout is not null)
                    {
                        cancellationToken.ThrowIfCancellationRequested();
                        progress.Say($"booting {label}", booted++, missing);
                        first = option.ListsModules && first is null ? await BootAsync(ModuleOption.All[0], ListLabel, layout, null, cancellationToken).ConfigureAwait(false) : first;
                        seen = await BootAsync(option, label, layout, first, cancellationToken).ConfigureAwait(false);
                    }

                    if (seen is not null)
                    {
                        done[option].Add(seen);
                        first ??= option.Addresses == Kernels.ModuleAddresses.ByOrder && !option.ListsModules ? seen : null;
                    }
                }
            }
        }
        finally
        {
            File.Delete(ListedInitrd);
        }
    }

    private async Task<ModuleBoot?> BootAsync(ModuleOption option, string label, GuestLayout layout, ModuleBoot? first, CancellationToken cancellationToken)
    {
        if (folder.Read(NameOf(label), ExperimentJson.Default.ModuleBoot) is { } earlier)
        {
            return earlier;
        }

        GuestRecipe guest = recipe with { CommandLine = recipe.CommandLine + option.CommandLine, Modules = option.Addresses };
        if (option.ListsModules && first is not null)
        {
            if (!_listed)
            {
                ModuleListArchive.WriteTo(recipe.Initrd, first.Modules.Select(module => module.Name), ListedInitrd);
                _listed = true;
            }

            guest = guest with { Initrd = ListedInitrd };
        }

        ModuleBoot? seen = null;
        await new GuestBoots(guest, host, progress).TryAsync(
            label,
            layout,
            async running =>
            {
                seen = await ModuleBoot.ReadAsync(running, cancellationToken).ConfigureAwait(false);
                folder.Write(NameOf(label), seen, ExperimentJson.Default.ModuleBoot);
                return false;
            },
            cancellationToken).ConfigureAwait(false);
        return seen;
    }
}

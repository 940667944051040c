using System.Collections.Concurrent;
using System.Globalization;
using KaslrMt.Cli.Output;
using KaslrMt.Guests;
using KaslrMt.Lab.Results;
using KaslrMt.Layout;
using KaslrMt.Sharing;

namespace KaslrMt.Lab.Experiments;

/// <summary>The paper's section 8: what N guests share with KASLR off, with their own KASLR, and with ours, and what else a host can do; and what the host's KSM makes of it.</summary>
/// <param name="folder">Where results are kept.</param>
/// <param name="recipe">The guests.</param>
/// <param name="host">What they run on.</param>
/// <param name="progress">Takes how far it is.</param>
internal sealed class CurveExperiment(ExperimentFolder folder, GuestRecipe recipe, ExperimentHost host, Progress progress)
{
    private int _booted;

    /// <summary>The host's KSM and its settings, borrowed; null to leave it alone.</summary>
    public (KsmFolder Folder, KsmSettingsLease Loan)? Ksm { get; init; }

    /// <summary>The longest that KSM may take to settle.</summary>
    public TimeSpan KsmLimit { get; init; } = TimeSpan.FromMinutes(15);

    /// <summary>Which regions are the tenant's.</summary>
    public Policy Policy { get; init; } = Policy.Default;

    /// <summary>Guests that all modes of this run boot together.</summary>
    public required int Total { get; init; }

    /// <summary>Whether a mode was measured before.</summary>
    public static bool Has(ExperimentFolder folder, CurveMode mode) => File.Exists(Path.Combine(folder.Path, FileOf(mode)));

    /// <summary>Measures a mode, or reads what was measured before.</summary>
    /// <param name="mode">The mode.</param>
    /// <param name="guests">How many guests.</param>
    /// <param name="parallel">How many boot at a time.</param>
    /// <param name="cancellationToken">Interrupts it; modes that were measured are kept.</param>
    /// <exception cref="KaslrMtException">KMT6028 when fewer than two guests boot; errors of the image, of QEMU, of KSM and of the disk.</exception>
    public async Task<CurveReport.Mode> MeasureAsync(CurveMode mode, int guests, int parallel, CancellationToken cancellationToken)
    {
        if (folder.Read(FileOf(mode), ExperimentJson.Default.Mode) is { } before)
        {
            return IsOf(mode, before) ? before with { Label = mode.Label } : throw folder.Damaged(FileOf(mode));
        }

        // Keys for this mode's guests alone, which end with them.
        TenantKey[] keys = mode.Layout == ExperimentMode.KaslrMt ? [.. Enumerable.Range(0, mode.Tenants).Select(_ => TenantKey.Generate())] : [];
        long files = host.FilesInMemory;
        var boots = new GuestBoots(mode.Recipe(recipe), host, progress);
        ConcurrentDictionary<int, ExperimentGuest> running = [];
        try
        {
            await BootAsync(mode, keys, guests, parallel, boots, running, cancellationToken).ConfigureAwait(false);
            (int Number, ExperimentGuest Guest)[] all = [.. running.OrderBy(pair => pair.Key).Select(pair => (pair.Key, pair.Value))];
            if (all.Length < 2)
            {
                throw new KaslrMtException(SharingErrors.ExperimentTooFewGuests, $"{mode.Name}: fewer than two guests booted");
            }

            // Of our own process what supervising takes, not what comparing pages takes: an agent does the former only.
            long program = mode.Layout == ExperimentMode.KaslrMt ? ProcessMemory.PssOf(Environment.ProcessId) : 0;
            GuestCurve curve = await CompareAsync(mode, all, parallel, cancellationToken).ConfigureAwait(false);
            KsmMeasurement? merged = Ksm is var (ksm, loan) ? await MergeAsync(mode, ksm, loan, [.. all.Select(one => one.Guest)], cancellationToken).ConfigureAwait(false) : null;
            HostCost? cost = merged is null
                ? null
                : HostCost.Read([.. all.Select(one => one.Guest.ProcessId)], Math.Max(host.FilesInMemory - files, 0), program);
            CurveReport.Mode report = CurveReport.Mode.Of(mode, mode.PolicyOf(Policy), all.Length, boots, curve, merged, cost);
            folder.Write(FileOf(mode), report, ExperimentJson.Default.Mode);
            return report;
        }
        finally
        {
            progress.Clear();
            await Task.WhenAll(running.Values.Select(guest => guest.DisposeAsync().AsTask())).ConfigureAwait(false);
            Array.ForEach(keys, key => key.Dispose());
        }
    }

    // What the tables rely on.
    private static bool IsOf(CurveMode mode, CurveReport.Mode kept) =>
        kept.Name == mode.Name
        && kept.Booted == kept.Points.Count
        && ResultsShape.Fault(kept) is null
        && kept.Classes.Select(row => row.Name).SequenceEqual(PageClassNames.All.Select(pageClass => pageClass.Name()));

    private static string FileOf(CurveMode mode) => $"{mode.Name}.json";

    // Tenants take turns, so that the first n guests of the curve are of all of them.
    private GuestLayout Layout(CurveMode mode, TenantKey[] keys, int guest) => mode.Layout switch
    {
        ExperimentMode.Off => GuestLayout.Off,
        ExperimentMode.Stock => GuestLayout.Stock,
        _ => GuestLayout.OfTenant(keys[guest % keys.Length], mode.PolicyOf(Policy)!.Value),
    };

    private static string? TenantOf(CurveMode mode, int guest) =>
        mode.Layout == ExperimentMode.KaslrMt ? string.Create(CultureInfo.InvariantCulture, $"tenant{guest % mode.Tenants}") : null;

    private async Task BootAsync(
        CurveMode mode, TenantKey[] keys, int guests, int parallel, GuestBoots boots, ConcurrentDictionary<int, ExperimentGuest> running, CancellationToken cancellationToken)
    {
        progress.Say($"{mode.Name}: booting", _booted, Total);
        await Parallel.ForEachAsync(Enumerable.Range(0, guests), new ParallelOptions { MaxDegreeOfParallelism = parallel, CancellationToken = cancellationToken }, async (number, cancel) =>
        {
            string label = string.Create(CultureInfo.InvariantCulture, $"{mode.Name}-{number}");
            await boots.TryAsync(label, Layout(mode, keys, number), guest => Task.FromResult(running.TryAdd(number, guest)), cancel).ConfigureAwait(false);
            progress.Say($"{mode.Name}: booted", Interlocked.Increment(ref _booted), Total);
        }).ConfigureAwait(false);
    }

    private async Task<GuestCurve> CompareAsync(CurveMode mode, (int Number, ExperimentGuest Guest)[] all, int parallel, CancellationToken cancellationToken)
    {
        // One moment for all, and nothing changes between the first look and the last.
        await Task.WhenAll(all.Select(one => one.Guest.PauseAsync(cancellationToken))).ConfigureAwait(false);
        var pages = new GuestPages[all.Length];
        progress.Say($"{mode.Name}: reading", 0, 0);
        await Parallel.ForEachAsync(Enumerable.Range(0, all.Length), new ParallelOptions { MaxDegreeOfParallelism = parallel, CancellationToken = cancellationToken }, async (i, cancel) =>
        {
            GuestKernel kernel = await all[i].Guest.OpenKernelAsync(cancel).ConfigureAwait(false);
            pages[i] = GuestPages.Read(all[i].Guest.Name, TenantOf(mode, all[i].Number), kernel);
            ProbeFile.Write(folder.ProbeFile(string.Create(CultureInfo.InvariantCulture, $"{mode.Name}-{i}")), ProbePages.Of(pages[i]));
        }).ConfigureAwait(false);
        progress.Say($"{mode.Name}: comparing", 0, 0);
        return await Task.Run(() => GuestCurve.Of(pages, cancellationToken), cancellationToken).ConfigureAwait(false);
    }

    private async Task<KsmMeasurement> MergeAsync(CurveMode mode, KsmFolder ksm, KsmSettingsLease loan, ExperimentGuest[] all, CancellationToken cancellationToken)
    {
        KsmMeasurement measured = await KsmMeasurement.RunAsync(
            ksm,
            loan,
            [.. all.Select(guest => guest.ProcessId)],
            KsmLimit,
            (merged, scans) => progress.Say(string.Create(CultureInfo.InvariantCulture, $"{mode.Name}: KSM: {merged} pages merged after {scans} scans"), 0, 0),
            cancellationToken).ConfigureAwait(false);
        if (measured.Others.Resident > 0)
        {
            progress.Line(string.Create(
                CultureInfo.InvariantCulture,
                $"kaslrmt: {mode.Name}: other processes have {measured.Others.Resident / (double)ByteSize.MiB:0} MiB that KSM looks at too: its counters and times hold them; the pages held for the guests do not"));
        }

        return measured;
    }
}

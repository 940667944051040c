using System.Diagnostics;

namespace KaslrMt.Sharing;

/// <summary>What the host's real KSM made of some guests. Pages are of 4 KiB.</summary>
public sealed record KsmMeasurement
{
    private const int PageSize = 4096;

    // More than any processor looks at; the naps between batches leave the machine usable.
    private const long FullSpeed = 4L << 30;

    // Settled: less than a thousandth more merged, twice in a row.
    private const double Change = 0.001;
    private const int QuietScans = 2;
    private const int FirstScans = 2;

    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);

    /// <summary>KSM's counters in the end.</summary>
    public required KsmCounters Counters { get; init; }

    /// <summary>Whether they had settled; false when the time was over.</summary>
    public required bool Settled { get; init; }

    /// <summary>From the start of merging until they had settled.</summary>
    public required TimeSpan Time { get; init; }

    /// <summary>Scans through all memory in that time.</summary>
    public required long Scans { get; init; }

    /// <summary>Processor time of <c>ksmd</c> in that time; null where it cannot be seen.</summary>
    public required TimeSpan? Processor { get; init; }

    /// <summary>The guests' mergeable memory before.</summary>
    public required MergeableMemory Before { get; init; }

    /// <summary>The guests' mergeable memory after.</summary>
    public required MergeableMemory After { get; init; }

    /// <summary>Other processes' mergeable memory: 0 when KSM looked at the guests alone.</summary>
    public required MergeableMemory Others { get; init; }

    /// <summary>Pages the host holds for the guests' memory: by the kernel's count (Pss), which other processes' memory does not enter.</summary>
    public long HeldPages => After.Proportional / PageSize;

    /// <summary>Takes apart what is merged, merges the guests' memory at full speed until nothing more is found, and stops.</summary>
    /// <param name="ksm">The host's KSM.</param>
    /// <param name="loan">Its settings; they stay changed until the loan ends.</param>
    /// <param name="processes">The guests' QEMUs.</param>
    /// <param name="limit">The longest time.</param>
    /// <param name="progress">Takes the guests' merged pages so far and the scans done.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="KaslrMtException">KMT6012, KMT6013.</exception>
    public static Task<KsmMeasurement> RunAsync(
        KsmFolder ksm, KsmSettingsLease loan, IReadOnlyCollection<int> processes, TimeSpan limit, Action<long, long>? progress, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(ksm);
        ArgumentNullException.ThrowIfNull(loan);

        // What others merge meanwhile must not keep the guests from settling.
        return RunAsync(ksm, loan, processes, counters => KsmProcess.MergingPagesOf(processes) ?? counters.Sharing, limit, progress, cancellationToken);
    }

    /// <inheritdoc cref="RunAsync(KsmFolder, KsmSettingsLease, IReadOnlyCollection{int}, TimeSpan, Action{long, long}?, CancellationToken)"/>
    internal static async Task<KsmMeasurement> RunAsync(
        KsmFolder ksm, KsmSettingsLease loan, IReadOnlyCollection<int> processes, Func<KsmCounters, long> count, TimeSpan limit, Action<long, long>? progress, CancellationToken cancellationToken)
    {
        await Task.Run(loan.Unmerge, cancellationToken).ConfigureAwait(false);
        MergeableMemory before = MergeableMemory.Read(processes), others = MergeableMemory.ReadAllBut(processes);
        KsmCounters start = KsmCounters.Read(ksm);
        TimeSpan? busy = KsmTimes.Read();
        var clock = Stopwatch.StartNew();

        // smart_scan passes over pages that had no equal so far: it would end later, and count as settled earlier.
        KsmSettings fast = KsmSettings.AtRate(FullSpeed);
        loan.Set(fast with { Values = fast.Values.Insert(0, new(KsmSettings.SmartScan, "0")) });
        KsmCounters now = start;
        long last = 0, scans = start.FullScans;
        int quiet = 0;
        while (quiet < QuietScans && clock.Elapsed < limit)
        {
            await Task.Delay(Interval, cancellationToken).ConfigureAwait(false);
            now = KsmCounters.Read(ksm);
            if (now.FullScans == scans)
            {
                continue;
            }

            // The first scan only notes checksums: nothing merged by then says nothing.
            long merged = count(now);
            quiet = (merged > 0 || now.FullScans - start.FullScans > FirstScans) && Math.Abs(merged - last) <= Change * merged ? quiet + 1 : 0;
            (last, scans) = (merged, now.FullScans);
            progress?.Invoke(last, scans - start.FullScans);
        }

        TimeSpan time = clock.Elapsed;
        loan.Set(new KsmSettings([new(KsmSettings.Run, "0")]));
        return new KsmMeasurement
        {
            Counters = KsmCounters.Read(ksm),
            Settled = quiet >= QuietScans,
            Time = time,
            Scans = now.FullScans - start.FullScans,
            Processor = KsmTimes.Read() - busy,
            Before = before,
            After = MergeableMemory.Read(processes),
            Others = others,
        };
    }
}

using System.Collections.Concurrent;
using KaslrMt.Cli.Output;
using KaslrMt.Hypervisors;
using KaslrMt.Sharing;

namespace KaslrMt.Lab.Experiments;

/// <summary>Boots an experiment's guests: one that fails is named and tried once more, then skipped and reported.</summary>
/// <param name="recipe">What they are made of.</param>
/// <param name="host">What they run on.</param>
/// <param name="progress">Takes the failures.</param>
internal sealed class GuestBoots(GuestRecipe recipe, ExperimentHost host, Progress progress)
{
    private const int Attempts = 2;

    private readonly ConcurrentBag<string> _skipped = [];
    private readonly ConcurrentBag<double> _seconds = [];

    /// <summary>The guests that were given up, sorted.</summary>
    public IReadOnlyList<string> Skipped => [.. _skipped.Order(StringComparer.Ordinal)];

    /// <summary>Seconds a boot took on average; null before the first.</summary>
    public double? MeanSeconds => _seconds.IsEmpty ? null : Math.Round(_seconds.Average(), 2);

    /// <summary>Boots a guest and does something with it; the guest runs on only if that keeps it.</summary>
    /// <param name="label">The guest's label.</param>
    /// <param name="layout">Where its layout comes from.</param>
    /// <param name="use">What to do; a failure that is the guest's counts as one of its boot. Whether it keeps the guest, and disposes of it.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>Whether it was done; false when the guest was skipped.</returns>
    public async Task<bool> TryAsync(string label, GuestLayout layout, Func<ExperimentGuest, Task<bool>> use, CancellationToken cancellationToken)
    {
        for (int attempt = 1; ; attempt++)
        {
            ExperimentGuest? guest = null;
            try
            {
                guest = await ExperimentGuest.BootAsync(recipe, layout, label, host, cancellationToken).ConfigureAwait(false);
                _seconds.Add(guest.BootTime.TotalSeconds);
                if (await use(guest).ConfigureAwait(false))
                {
                    guest = null;
                }

                return true;
            }
            catch (KaslrMtException error) when (IsTheGuests(error))
            {
                progress.Line($"kaslrmt: {label}: {error.Code}: {Printable.Of(error.Problem)}; {(attempt < Attempts ? "trying once more" : "skipped")}");
                if (attempt == Attempts)
                {
                    _skipped.Add(label);
                    return false;
                }
            }
            finally
            {
                if (guest is not null)
                {
                    await guest.DisposeAsync().ConfigureAwait(false);
                }
            }
        }
    }

    // A guest that hangs, ends or cannot be read; not a missing program, a bad image or a full disk, which all others would meet too.
    private static bool IsTheGuests(KaslrMtException error) =>
        error.Code == SharingErrors.ExperimentBootFailed
        || error.Code == HypervisorErrors.MonitorTimeout
        || error.Code == HypervisorErrors.MonitorClosed
        || (error.Code.Number is >= 5001 and < 5050 && error.Category is ErrorCategory.Guest or ErrorCategory.Host);
}

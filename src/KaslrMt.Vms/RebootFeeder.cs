using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using Microsoft.Extensions.Logging;

namespace KaslrMt.Vms;

/// <summary>Puts a kernel into a running VM's guest whenever the guest has been reset and waits at its gate.</summary>
/// <param name="pipeline">How the VM boots.</param>
/// <param name="vm">The running VM.</param>
/// <param name="folder">The VM's folder.</param>
/// <param name="log">Takes the owner's lines.</param>
internal sealed class RebootFeeder(BootPipeline pipeline, IVirtualMachine vm, VmFolder folder, ILogger log)
{
    private static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(2);

    // A guest that resets itself in a loop gets one kernel a second.
    private static readonly TimeSpan ShortestBoot = TimeSpan.FromSeconds(1);

    private DateTimeOffset _fed = DateTimeOffset.MinValue;

    /// <summary>Waits for the guest's next boot, and feeds it.</summary>
    /// <param name="look">
    /// How long the guest may take to its gate without a reset that this process saw: it was reset, or started paused, before this process looked. Zero where that cannot be.
    /// </param>
    /// <param name="atGate">Called when the guest waits at its gate: what it ran before is over.</param>
    /// <param name="note">Takes a change of the VM's state.</param>
    /// <param name="cancellationToken">Gives up; the guest then waits, or goes on.</param>
    /// <returns>The layout that the guest now has.</returns>
    public async Task<IntendedLayout> NextBootAsync(TimeSpan look, Func<Task> atGate, Action<Func<VmState, VmState>> note, CancellationToken cancellationToken)
    {
        bool found = look != TimeSpan.Zero && await LookAsync(look, cancellationToken).ConfigureAwait(false);
        if (!found)
        {
            await vm.WaitForResetAsync(cancellationToken).ConfigureAwait(false);
        }

        // A guest that started paused comes to its first boot here, and one whose owner died before it was fed.
        VmState? state = folder.ReadState();
        KernelFacts? before = state?.Release is null ? null : IntendedLayout.ReadFrom(folder.Path)?.Kernel;
        int boot = (state?.Reboots ?? 0) + (before is null ? 0 : 1);

        TimeSpan early = _fed + ShortestBoot - TimeProvider.System.GetUtcNow();
        if (early > TimeSpan.Zero)
        {
            await Task.Delay(early, cancellationToken).ConfigureAwait(false);
        }

        string? said = null;
        bool told = before is null;
        while (true)
        {
            try
            {
                // For as long as it takes: the guest may be paused in its firmware; and the word of a reset may have come late, when the guest had its kernel already.
                using VmGate gate = await vm.WaitForGateAsync(Timeout.InfiniteTimeSpan, cancellationToken).ConfigureAwait(false);
                if (!told)
                {
                    log.Reboots(folder.Name);
                    told = true;
                }

                await atGate().ConfigureAwait(false);
                IntendedLayout intended = await pipeline.FeedAsync(gate, folder, boot, cancellationToken).ConfigureAwait(false);
                _fed = TimeProvider.System.GetUtcNow();
                note(now => now with { Reboots = boot, Waiting = null, Release = intended.Kernel.Release });
                if (said is not null)
                {
                    log.NoLongerWaits(folder.Name);
                }

                if (before is not null && (before.Release != intended.Kernel.Release || !before.Segments.SequenceEqual(intended.Kernel.Segments)))
                {
                    log.BootsAnotherKernel(folder.Name, Printable.Of(intended.Kernel.Release), Printable.Of(before.Release));
                }

                return intended;
            }
            catch (KaslrMtException error) when (error.Code != Guests.GuestErrors.GuestGone)
            {
                if (error.Message != said)
                {
                    said = error.Message;
                    log.WaitsAtGate(folder.Name, error.Code, error.Message);
                    note(now => now with { Waiting = $"{error.Code}: {error.Message}" });
                }

                await Task.Delay(RetryInterval, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private async Task<bool> LookAsync(TimeSpan patience, CancellationToken cancellationToken)
    {
        try
        {
            using VmGate gate = await vm.WaitForGateAsync(patience, cancellationToken).ConfigureAwait(false);
            return true;
        }
        catch (KaslrMtException)
        {
            // It runs its kernel; or its memory may not be written, which its next reset will show.
            return false;
        }
    }
}

using KaslrMt.Guests;

namespace KaslrMt.Hypervisors;

/// <summary>A running QEMU guest opened for looking into: anybody's, with or without a monitor.</summary>
internal sealed class QemuGuest : IGuestInspection
{
    // Its socket may have another client, whom QEMU serves for as long as it likes.
    private static readonly TimeSpan UnaskedPatience = TimeSpan.FromSeconds(1);

    private readonly GuestPause? _pause;

    private QemuGuest(QemuMemory memory, KernelHints hints, GuestPause? pause)
    {
        Memory = memory;
        Hints = hints;
        _pause = pause;
    }

    /// <summary>Its RAM.</summary>
    public IGuestMemory Memory { get; }

    /// <summary>What its processor says of its kernel; nothing without a monitor.</summary>
    public KernelHints Hints { get; }

    /// <summary>Opens it.</summary>
    /// <param name="processId">Its QEMU.</param>
    /// <param name="monitorSocket">A QMP socket of it; null for the one its command line names, if that answers.</param>
    /// <param name="interrupted">Null to leave the guest running; else called when a signal asks this process to end while the guest stands still.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="KaslrMtException">
    /// Errors of <see cref="QemuMemory"/> and of the monitor; <see cref="HypervisorErrors.MonitorClosed"/> when the guest is to stand still and has no monitor.
    /// </exception>
    public static async Task<QemuGuest> OpenAsync(int processId, string? monitorSocket, Action? interrupted, CancellationToken cancellationToken = default)
    {
        QmpClient? monitor = await ConnectAsync(processId, monitorSocket, interrupted is not null, cancellationToken).ConfigureAwait(false);
        if (monitor is null)
        {
            return new QemuGuest(QemuMemory.Open(processId), default, null);
        }

        GuestPause? pause = null;
        QemuMemory? memory = null;
        try
        {
            pause = interrupted is not null ? await GuestPause.BeginAsync(monitor, interrupted, cancellationToken).ConfigureAwait(false) : null;
            memory = await QemuMemory.OpenAsync(monitor, processId, cancellationToken).ConfigureAwait(false);
            var guest = new QemuGuest(memory, await QemuRegisters.ReadHintsAsync(monitor, cancellationToken).ConfigureAwait(false), pause);
            (pause, memory) = (null, null);
            return guest;
        }
        finally
        {
            memory?.Dispose();
            if (pause is not null)
            {
                await pause.DisposeAsync().ConfigureAwait(false);
            }
            else if (interrupted is null)
            {
                await monitor.DisposeAsync().ConfigureAwait(false);
            }
        }
    }

    /// <summary>Lets go of the guest, which goes on.</summary>
    public async ValueTask DisposeAsync()
    {
        Memory.Dispose();
        if (_pause is not null)
        {
            await _pause.DisposeAsync().ConfigureAwait(false);
        }
    }

    private static async Task<QmpClient?> ConnectAsync(int processId, string? socket, bool needed, CancellationToken cancellationToken)
    {
        if (socket is not null)
        {
            return await QmpClient.ConnectAsync(socket, QmpClient.DefaultTimeout, cancellationToken).ConfigureAwait(false);
        }

        if (QemuCommandLine.MonitorOf(processId) is { } found)
        {
            try
            {
                return await QmpClient.ConnectAsync(found, needed ? QmpClient.DefaultTimeout : UnaskedPatience, cancellationToken).ConfigureAwait(false);
            }
            catch (KaslrMtException error) when (!needed && error.Code.Number / 10 == HypervisorErrors.MonitorTimeout.Number / 10)
            {
                // Nobody asked for it: the process's own memory map may do.
                return null;
            }
        }

        return needed
            ? throw new KaslrMtException(HypervisorErrors.MonitorClosed, "the guest cannot be paused: its QEMU has no monitor with a name", "leave --pause out, or give a monitor with --qmp SOCKET")
            : null;
    }
}

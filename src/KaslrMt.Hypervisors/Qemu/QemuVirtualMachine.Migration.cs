namespace KaslrMt.Hypervisors;

/// <summary>Moving a running guest to another QEMU, or into a file and back.</summary>
/// <remarks>
/// What moves is RAM with the kernel in it, so the layout moves too: the destination needs neither image nor key. QEMU does not fill RAM from
/// <c>-kernel</c> while it awaits a guest (<c>hw/core/loader.c</c>, <c>rom_reset</c>), and a reset, the only time it would be read again, ends
/// QEMU (<c>-no-reboot</c>). The destination must have the source's machine type, memory, CPUs, devices (the user's arguments) and QEMU version.
/// </remarks>
internal sealed partial class QemuVirtualMachine
{

    private static readonly TimeSpan ArrivalInterval = TimeSpan.FromMilliseconds(20);

    private ShutdownReason? _departure;

    /// <inheritdoc/>
    public Task ListenAsync(MigrationAddress address, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(address);
        return ReceiveFromAsync(address.Uri, cancellationToken);
    }

    /// <inheritdoc/>
    public async Task WaitForArrivalAsync(CancellationToken cancellationToken = default)
    {
        while (true)
        {
            try
            {
                if (await MigrationTransfer.StatusAsync(Monitor, cancellationToken).ConfigureAwait(false) is not ("inmigrate" or "finish-migrate"))
                {
                    return;
                }
            }
            catch (KaslrMtException e) when (e.Code == HypervisorErrors.MonitorClosed)
            {
                VmExit exit = await _exit.WaitAsync(cancellationToken).ConfigureAwait(false);
                throw new KaslrMtException(
                    HypervisorErrors.ArrivalFailed,
                    $"the guest did not arrive; {(exit.LastWords.Length == 0 ? "QEMU said nothing" : $"QEMU said: {exit.LastWords}")}",
                    "give machine, memory, CPUs and devices as at the source, and the same version of QEMU",
                    e);
            }

            await Task.Delay(ArrivalInterval, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public async Task<MigrationProgress> MigrateAsync(
        MigrationAddress destination,
        IProgress<MigrationProgress>? progress = null,
        long bytesPerSecond = MigrationProgress.DefaultBandwidth,
        Func<Task>? arrived = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(destination);
        MigrationTransfer migration = new(Monitor);
        bool wasRunning = await MigrationTransfer.StatusAsync(Monitor, cancellationToken).ConfigureAwait(false) == "running";
        MigrationProgress last = await migration
            .RunAsync(destination.Uri, isAnswered: true, bytesPerSecond, wasRunning, progress, cancellationToken).ConfigureAwait(false);

        if (arrived is not null)
        {
            try
            {
                await arrived().ConfigureAwait(false);
            }
            catch
            {
                await migration.ResumeAsync(wasRunning).ConfigureAwait(false);
                throw;
            }
        }

        // The guest runs over there: from here on nothing may let it run here again.
        await DepartAsync(ShutdownReason.Migrated).ConfigureAwait(false);
        return last;
    }

    private async Task ReceiveFromAsync(string uri, CancellationToken cancellationToken) =>
        await Monitor.ExecuteAsync("migrate-incoming", writer => writer.WriteString("uri", uri), cancellationToken: cancellationToken).ConfigureAwait(false);

    private async Task DepartAsync(ShutdownReason reason)
    {
        _departure = reason;
        await StopAsync(TimeSpan.Zero).ConfigureAwait(false);
    }
}

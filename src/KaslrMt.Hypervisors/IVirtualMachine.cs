namespace KaslrMt.Hypervisors;

/// <summary>
/// A running VM and its owner's hold on it. Disposing ends the VM; so does the end of this process, unless <see cref="MachineDefinition.OutlivesOwner"/>.
/// </summary>
public interface IVirtualMachine : IVmConnection
{
    /// <summary>Gets when the VM's process started, in clock ticks since boot (<c>/proc/PID/stat</c> field 22).</summary>
    ulong ProcessStartTime { get; }

    /// <summary>Waits until the VM has ended.</summary>
    /// <param name="cancellationToken">Ends the wait; the VM goes on.</param>
    Task<VmExit> WaitForExitAsync(CancellationToken cancellationToken = default);

    /// <summary>Waits until the guest waits at its gate: at its first boot, and after each reset. For a VM with <see cref="MachineDefinition.HasGate"/>.</summary>
    /// <param name="patience">How long firmware may take, once the guest runs or was reset.</param>
    /// <param name="cancellationToken">Ends the wait; the VM goes on.</param>
    /// <returns>The gate; the caller disposes of it.</returns>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.GateSilent"/>; the VM has ended, or its memory may not be written.</exception>
    Task<VmGate> WaitForGateAsync(TimeSpan patience, CancellationToken cancellationToken = default);

    /// <summary>Waits until the guest has been reset since the last wait.</summary>
    /// <param name="cancellationToken">Ends the wait; the VM goes on.</param>
    Task WaitForResetAsync(CancellationToken cancellationToken = default);

    /// <summary>Stops the VM: asks the guest to power off, after the grace ends the VM, and kills its process if that does not help.</summary>
    /// <param name="grace">How long the guest may take; zero to end the VM at once.</param>
    Task<VmExit> StopAsync(TimeSpan grace);

    /// <summary>Lets go of the VM, which goes on without an owner: another owner can attach to it. For a VM that outlives its owner.</summary>
    ValueTask ReleaseAsync();

    /// <summary>Makes a VM started with <see cref="MachineDefinition.AwaitsMigration"/> listen for its guest; returns once it does.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.MonitorRefused"/> when it cannot listen there, or awaits none.</exception>
    Task ListenAsync(MigrationAddress address, CancellationToken cancellationToken = default);

    /// <summary>Waits until the guest has arrived whole. It runs then, unless it stood still where it came from or this VM was started paused.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.ArrivalFailed"/>: what came was cut off, or is not for this VM.</exception>
    Task WaitForArrivalAsync(CancellationToken cancellationToken = default);

    /// <summary>Moves the running guest to a VM that listens, then ends this one: its exit's reason is <see cref="ShutdownReason.Migrated"/>.</summary>
    /// <param name="destination">Where the other VM listens.</param>
    /// <param name="progress">Told several times a second.</param>
    /// <param name="bytesPerSecond">The most to send; the standard is 10 Gbit/s.</param>
    /// <param name="arrived">
    /// Called when the other VM has loaded the guest, which stands still here: returns when this VM may end, throws when the guest is to go on here.
    /// </param>
    /// <param name="cancellationToken">Cancels; the guest goes on here. Too late once the other VM has it: then this returns as if not cancelled.</param>
    /// <returns>The last progress, with the downtime.</returns>
    /// <exception cref="KaslrMtException">
    /// <see cref="HypervisorErrors.MigrationFailed"/>: the guest goes on here. Errors of the monitor: this VM is ending or stuck.
    /// </exception>
    Task<MigrationProgress> MigrateAsync(
        MigrationAddress destination,
        IProgress<MigrationProgress>? progress = null,
        long bytesPerSecond = MigrationProgress.DefaultBandwidth,
        Func<Task>? arrived = null,
        CancellationToken cancellationToken = default);

    /// <summary>Saves the guest into a file (whole or not at all, mode 0600), then ends this VM: the reason is <see cref="ShutdownReason.Saved"/>.</summary>
    /// <param name="path">The file. It holds all the guest's secrets, its layout among them.</param>
    /// <param name="folder">This VM's folder.</param>
    /// <param name="progress">Told several times a second.</param>
    /// <param name="preface">What stands before the guest's state in the file.</param>
    /// <param name="saved">Called when the file is whole: returns when this VM may end, throws when the file is to go and the guest to go on.</param>
    /// <param name="cancellationToken">Cancels; the guest goes on.</param>
    /// <exception cref="KaslrMtException">
    /// <see cref="HypervisorErrors.SaveFailed"/>, <see cref="HypervisorErrors.MigrationFailed"/>, KMT26xx (cannot be written, disk full): the guest goes on.
    /// </exception>
    Task<MigrationProgress> SaveAsync(
        string path,
        VmFolder folder,
        IProgress<MigrationProgress>? progress = null,
        ReadOnlyMemory<byte> preface = default,
        Func<Task>? saved = null,
        CancellationToken cancellationToken = default);
}

using System.Net.Sockets;

namespace KaslrMt.Hypervisors;

/// <summary>Moving a running guest to another QEMU, or into a file and back.</summary>
/// <remarks>
/// What moves is RAM with the kernel in it, so the layout moves too: the destination needs neither image nor key. QEMU does not fill RAM from
/// <c>-kernel</c> while it awaits a guest (<c>hw/core/loader.c</c>, <c>rom_reset</c>), and a reset, the only time it would be read again, ends
/// QEMU (<c>-no-reboot</c>). The destination must have the source's machine type, memory, CPUs, devices (the user's arguments) and QEMU version.
/// </remarks>
public sealed partial class VirtualMachine
{
    /// <summary>What a migration sends at most unless its caller says otherwise, in bytes a second: 10 Gbit/s.</summary>
    public const long DefaultBandwidth = 1_250_000_000;

    private const long Unlimited = 1L << 40;

    private static readonly TimeSpan ArrivalInterval = TimeSpan.FromMilliseconds(20);

    private ShutdownReason? _departure;

    /// <summary>Makes a VM started with <see cref="VirtualMachineSettings.AwaitsMigration"/> listen for its guest; returns once it does.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.MonitorRefused"/> when it cannot listen there, or awaits none.</exception>
    public Task ListenAsync(MigrationAddress address, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(address);
        return ReceiveFromAsync(address.Uri, cancellationToken);
    }

    /// <summary>Waits until the guest has arrived whole. It runs then, unless it stood still where it came from or this VM was started paused.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.ArrivalFailed"/> with QEMU's last words: what came was cut off, or not for this VM.</exception>
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

    /// <summary>Moves the running guest to a QEMU that listens, then ends this one: its exit's reason is <see cref="ShutdownReason.Migrated"/>.</summary>
    /// <param name="destination">Where the other listens.</param>
    /// <param name="progress">Told several times a second.</param>
    /// <param name="bytesPerSecond">The most to send.</param>
    /// <param name="arrived">
    /// Called when the other has loaded the guest, which stands still here: returns when this QEMU may end, throws when the guest is to go on here.
    /// </param>
    /// <param name="cancellationToken">Cancels; the guest goes on here. Too late once the other has it: then this returns as if not cancelled.</param>
    /// <returns>The last progress, with the downtime.</returns>
    /// <exception cref="KaslrMtException">
    /// <see cref="HypervisorErrors.MigrationFailed"/>: the guest goes on here. Errors of the monitor: this QEMU is ending or stuck.
    /// </exception>
    public async Task<MigrationProgress> MigrateAsync(
        MigrationAddress destination,
        IProgress<MigrationProgress>? progress = null,
        long bytesPerSecond = DefaultBandwidth,
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

    /// <summary>Saves the guest into a file (whole or not at all, mode 0600), then ends this QEMU: the reason is <see cref="ShutdownReason.Saved"/>.</summary>
    /// <param name="path">The file. It holds all the guest's secrets, its layout among them.</param>
    /// <param name="folder">This VM's folder.</param>
    /// <param name="progress">Told several times a second.</param>
    /// <param name="preface">What stands before the guest's state in the file.</param>
    /// <param name="saved">Called when the file is whole: returns when this QEMU may end, throws when the file is to go and the guest to go on.</param>
    /// <param name="cancellationToken">Cancels; the guest goes on.</param>
    /// <exception cref="KaslrMtException">
    /// <see cref="HypervisorErrors.SaveFailed"/>, <see cref="HypervisorErrors.MigrationFailed"/>, KMT26xx (cannot be written, disk full): the guest goes on.
    /// </exception>
    public async Task<MigrationProgress> SaveAsync(
        string path,
        VmFolder folder,
        IProgress<MigrationProgress>? progress = null,
        ReadOnlyMemory<byte> preface = default,
        Func<Task>? saved = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(folder);
        using WholeFile file = WholeFile.Create(path);
        file.Write(preface.Span, 0);
        string socketPath = Path.Combine(folder.Path, "save.sock");
        File.Delete(socketPath);
        using UnixSocketPath address = UnixSocketPath.For(socketPath);
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(address.Short));
        listener.Listen(1);

        MigrationTransfer migration = new(Monitor);
        bool wasRunning = await MigrationTransfer.StatusAsync(Monitor, cancellationToken).ConfigureAwait(false) == "running";
        using CancellationTokenSource given = new();
        Task taken = StateFile.TakeAsync(listener, file, preface.Length, given.Token);
        bool refused = false;
        try
        {
            // A guest that stands still is written once; one that runs would have to be written again and again.
            await Monitor.ExecuteAsync("stop", cancellationToken: cancellationToken).ConfigureAwait(false);
            MigrationProgress last = await migration
                .RunAsync($"unix:{address.Short}", isAnswered: false, Unlimited, wasRunning, progress, cancellationToken).ConfigureAwait(false);
            await taken.ConfigureAwait(false);
            file.Commit();
            refused = true;
            await (saved?.Invoke() ?? Task.CompletedTask).ConfigureAwait(false);
            refused = false;
            await DepartAsync(ShutdownReason.Saved).ConfigureAwait(false);
            return last;
        }
        catch (Exception failure)
        {
            await given.CancelAsync().ConfigureAwait(false);
            Exception? cause = await OutcomeAsync(taken).ConfigureAwait(false);
            await migration.ResumeAsync(wasRunning).ConfigureAwait(false);
            if (refused)
            {
                // Not before the guest goes on: until then the file is all that is left should this process die.
                File.Delete(path);
            }

            // QEMU only sees that its stream broke; the disk's own error says why.
            if (cause is KaslrMtException && failure is KaslrMtException { Code: var code } && code == HypervisorErrors.MigrationFailed)
            {
                throw cause;
            }

            if (failure is SocketException or IOException)
            {
                throw new KaslrMtException(HypervisorErrors.SaveFailed, $"the guest cannot be saved to {path} ({Printable.Of(failure.Message)})", inner: failure);
            }

            throw;
        }
        finally
        {
            File.Delete(socketPath);
        }
    }

    /// <summary>Starts a QEMU and puts a saved guest into it.</summary>
    /// <param name="settings">As the guest was saved with; kernel, initrd and command line are not needed.</param>
    /// <param name="folder">The VM's folder.</param>
    /// <param name="path">The saved state. It stays: one who restores it twice has the same guest twice.</param>
    /// <param name="offset">Where in the file the state begins: behind the preface.</param>
    /// <param name="cancellationToken">Gives up and ends the QEMU.</param>
    /// <returns>The VM, running unless <see cref="VirtualMachineSettings.StartPaused"/>.</returns>
    /// <exception cref="KaslrMtException">
    /// <see cref="HypervisorErrors.FileUnreadable"/>; <see cref="HypervisorErrors.ArrivalFailed"/>: the file is cut off, or of another VM; as <see cref="StartAsync"/>.
    /// </exception>
    public static async Task<VirtualMachine> RestoreAsync(
        VirtualMachineSettings settings, VmFolder folder, string path, long offset = 0, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(folder);
        using FileStream file = OpenSaved(path);
        file.Position = offset;
        VirtualMachine vm = await StartAsync(settings with { AwaitsMigration = true }, folder, cancellationToken).ConfigureAwait(false);
        string socketPath = Path.Combine(folder.Path, "restore.sock");
        try
        {
            using (UnixSocketPath address = UnixSocketPath.For(socketPath))
            {
                await vm.ReceiveFromAsync($"unix:{address.Short}", cancellationToken).ConfigureAwait(false);
            }

            try
            {
                await StateFile.GiveAsync(file, socketPath, cancellationToken).ConfigureAwait(false);
            }
            catch (SocketException)
            {
                // QEMU hung up in the middle: it says why as it ends.
            }

            await vm.WaitForArrivalAsync(cancellationToken).ConfigureAwait(false);
            if (!settings.StartPaused)
            {
                await vm.ContinueAsync(cancellationToken).ConfigureAwait(false);
            }

            return vm;
        }
        catch
        {
            await vm.DisposeAsync().ConfigureAwait(false);
            throw;
        }
        finally
        {
            File.Delete(socketPath);
        }
    }

    private static FileStream OpenSaved(string path)
    {
        try
        {
            return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(HypervisorErrors.FileUnreadable, $"cannot read the saved VM {Printable.Of(path)} ({Printable.Of(e.Message)})", inner: e);
        }
    }

    private static async Task<Exception?> OutcomeAsync(Task task)
    {
        try
        {
            await task.ConfigureAwait(false);
            return null;
        }
        catch (Exception e) when (e is KaslrMtException or SocketException or OperationCanceledException)
        {
            return e;
        }
    }

    /// <summary>QEMU's <c>RunState</c>: <c>running</c>, <c>paused</c>, <c>inmigrate</c>, <c>postmigrate</c>, … (<c>qapi/run-state.json</c>).</summary>
    public Task<string> StatusAsync(CancellationToken cancellationToken = default) => MigrationTransfer.StatusAsync(Monitor, cancellationToken);

    private async Task ReceiveFromAsync(string uri, CancellationToken cancellationToken) =>
        await Monitor.ExecuteAsync("migrate-incoming", writer => writer.WriteString("uri", uri), cancellationToken: cancellationToken).ConfigureAwait(false);

    private async Task DepartAsync(ShutdownReason reason)
    {
        _departure = reason;
        await StopAsync(TimeSpan.Zero).ConfigureAwait(false);
    }
}

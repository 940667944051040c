using System.Text;

namespace KaslrMt.Hypervisors;

/// <summary>
/// A running VM and its owner's hold on it. Disposing ends the VM; so does the death of this process, unless the VM was to outlive its owner.
/// </summary>
public sealed partial class VirtualMachine : IAsyncDisposable
{
    // COMMAND_LINE_SIZE (arch/x86/include/asm/setup.h) with its NUL. The kernel copies a longer line without an end, and hangs.
    private const int LongestCommandLine = 2047;

    private static readonly TimeSpan QuitGrace = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan AnswerGrace = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan DyingGrace = TimeSpan.FromSeconds(1);

    private readonly QemuProcess _process;
    private readonly UnixSocketPath[] _sockets;
    private readonly Task<VmExit> _exit;

    private VirtualMachine(QemuProcess process, QmpClient monitor, UnixSocketPath[] sockets)
    {
        _process = process;
        _sockets = sockets;
        Monitor = monitor;
        _exit = Task.Run(WatchAsync);
    }

    /// <summary>QEMU's process id.</summary>
    public int ProcessId => _process.Id;

    /// <summary>When QEMU started, in clock ticks since boot (<c>/proc/PID/stat</c> field 22).</summary>
    public ulong ProcessStartTime => _process.StartTime;

    /// <summary>The owner's monitor. Its events are taken by this class.</summary>
    public QmpClient Monitor { get; }

    /// <summary>Starts QEMU and returns once its monitor answers: by then it has read the kernel and initrd into memory.</summary>
    /// <exception cref="KaslrMtException">
    /// <see cref="HypervisorErrors.ProgramMissing"/>; <see cref="HypervisorErrors.QemuDied"/> with QEMU's last words;
    /// <see cref="HypervisorErrors.MonitorTimeout"/>; <see cref="HypervisorErrors.FileUnreadable"/>; <see cref="HypervisorErrors.SettingInvalid"/>.
    /// </exception>
    public static async Task<VirtualMachine> StartAsync(
        VirtualMachineSettings settings, VmFolder folder, CancellationToken cancellationToken = default)
    {
        Check(settings);
        UnixSocketPath owner = UnixSocketPath.For(folder.OwnerSocket);
        UnixSocketPath others = UnixSocketPath.For(folder.MonitorSocket);
        UnixSocketPath? console = settings.Console.SocketPath is { } path ? UnixSocketPath.For(path) : null;
        UnixSocketPath[] sockets = console is null ? [owner, others] : [owner, others, console];
        QemuProcess? process = null;
        try
        {
            File.Delete(folder.OwnerSocket);
            List<string> arguments = QemuArguments.Build(
                settings, folder.Name, LeftoverQemu.PidFile(folder.Path), [owner.Short, others.Short], console?.Short);
            process = await QemuProcess.StartAsync(settings.Program, arguments, settings.Console.UsesStandardStreams, settings.OutlivesOwner).ConfigureAwait(false);
            QmpClient monitor = await ConnectAsync(process, folder.OwnerSocket, settings.StartTimeout, cancellationToken).ConfigureAwait(false);
            return new VirtualMachine(process, monitor, sockets);
        }
        catch
        {
            process?.Dispose();
            Array.ForEach(sockets, socket => socket.Dispose());
            throw;
        }
    }

    /// <summary>Takes over a VM that outlived its owner.</summary>
    /// <param name="folder">The VM's folder, adopted.</param>
    /// <param name="processId">Its QEMU, as noted.</param>
    /// <param name="startTime">When that QEMU started, as noted.</param>
    /// <param name="timeout">How long its monitor may take to answer.</param>
    /// <param name="cancellationToken">Gives up; the VM goes on.</param>
    /// <returns>The VM, or null when its QEMU is gone.</returns>
    /// <exception cref="KaslrMtException">The monitor does not answer: errors of <see cref="QmpClient.ConnectAsync"/>. The VM goes on.</exception>
    public static async Task<VirtualMachine?> AttachAsync(
        VmFolder folder, int processId, ulong startTime, TimeSpan timeout, CancellationToken cancellationToken = default)
    {
        if (QemuProcess.TryAttach(processId, startTime, folder.Path) is not { } process)
        {
            return null;
        }

        try
        {
            return new VirtualMachine(process, await QmpClient.ConnectAsync(folder.OwnerSocket, timeout, cancellationToken).ConfigureAwait(false), []);
        }
        catch
        {
            process.Release();
            throw;
        }
    }

    /// <summary>Lets a guest that was started paused begin.</summary>
    public Task ContinueAsync(CancellationToken cancellationToken = default) => Monitor.ExecuteAsync("cont", cancellationToken: cancellationToken);

    /// <summary>Completes when QEMU has exited.</summary>
    public Task<VmExit> WaitForExitAsync(CancellationToken cancellationToken = default) => _exit.WaitAsync(cancellationToken);

    /// <summary>Opens the guest's memory for reading.</summary>
    /// <exception cref="KaslrMtException">As <see cref="QemuMemory.OpenAsync"/>.</exception>
    public Task<QemuMemory> OpenMemoryAsync(CancellationToken cancellationToken = default) =>
        QemuMemory.OpenAsync(Monitor, ProcessId, cancellationToken);

    /// <summary>Stops the VM: asks the guest to power off, after the grace tells QEMU to quit, and kills it if that does not help.</summary>
    /// <param name="grace">How long the guest may take; zero to quit at once.</param>
    public async Task<VmExit> StopAsync(TimeSpan grace)
    {
        if (grace > TimeSpan.Zero && await TellAsync("system_powerdown").ConfigureAwait(false) && await ExitsWithinAsync(grace).ConfigureAwait(false))
        {
            return await _exit.ConfigureAwait(false);
        }

        bool told = await TellAsync("quit").ConfigureAwait(false);
        if (!await ExitsWithinAsync(told ? QuitGrace : DyingGrace).ConfigureAwait(false))
        {
            _process.Kill();
        }

        return await _exit.ConfigureAwait(false);
    }

    /// <summary>Ends the VM without asking the guest, if it still runs.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!_exit.IsCompleted)
        {
            await StopAsync(TimeSpan.Zero).ConfigureAwait(false);
        }

        await Monitor.DisposeAsync().ConfigureAwait(false);
        _process.Dispose();
        Array.ForEach(_sockets, socket => socket.Dispose());
    }

    private static void Check(VirtualMachineSettings settings)
    {
        if (settings.Cpus is < 1 or > 255)
        {
            throw new KaslrMtException(HypervisorErrors.SettingInvalid, $"{settings.Cpus} virtual CPUs are not supported", "give 1 to 255");
        }

        if (settings.Kernel is null && !settings.AwaitsMigration)
        {
            throw new KaslrMtException(HypervisorErrors.SettingInvalid, "a VM that boots needs a kernel");
        }

        foreach (string file in new[] { settings.Kernel, settings.Kernel is null ? null : settings.Initrd }.OfType<string>())
        {
            try
            {
                using FileStream readable = new(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new KaslrMtException(HypervisorErrors.FileUnreadable, $"cannot read {Printable.Of(file)} ({Printable.Of(e.Message)})", inner: e);
            }
        }

        if ((settings.CommandLine ?? "").Contains('\0'))
        {
            throw new KaslrMtException(HypervisorErrors.SettingInvalid, "the kernel command line holds a NUL character");
        }

        // With what QEMU is really given: a microvm's line is longer than the user's.
        int length = Encoding.UTF8.GetByteCount(QemuArguments.CommandLine(settings) ?? "");
        if (length > LongestCommandLine)
        {
            throw new KaslrMtException(
                HypervisorErrors.SettingInvalid,
                $"the kernel command line has {length} bytes, and a kernel takes {LongestCommandLine}: it would not boot",
                "shorten --append");
        }
    }

    private static async Task<QmpClient> ConnectAsync(QemuProcess process, string socket, TimeSpan timeout, CancellationToken cancellationToken)
    {
        long start = Environment.TickCount64;
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            TimeSpan left = timeout - TimeSpan.FromMilliseconds(Environment.TickCount64 - start);
            if (process.Exited.IsCompleted)
            {
                throw await DiedAsync(process).ConfigureAwait(false);
            }

            if (left <= TimeSpan.Zero)
            {
                throw new KaslrMtException(HypervisorErrors.MonitorTimeout, $"QEMU's monitor did not answer within {timeout.TotalSeconds:0.#} s");
            }

            try
            {
                if (File.Exists(socket))
                {
                    return await QmpClient.ConnectAsync(socket, left, cancellationToken).ConfigureAwait(false);
                }
            }
            catch (KaslrMtException e) when (e.Code == HypervisorErrors.MonitorClosed)
            {
                // Bound but not listening yet, or QEMU is just dying: the next round tells which.
            }

            await Task.WhenAny(process.Exited, Task.Delay(2, cancellationToken)).ConfigureAwait(false);
        }
    }

    private static async Task<KaslrMtException> DiedAsync(QemuProcess process)
    {
        int? status = await process.Exited.ConfigureAwait(false);
        VmExit exit = Describe(ShutdownReason.Unexplained, status, process.LastWords);
        string how = exit.Signal is { } signal ? $"by signal {signal}" : $"with exit code {exit.ExitCode}";
        string words = exit.LastWords.Length == 0 ? "it said nothing" : $"it said: {exit.LastWords}";
        return new KaslrMtException(HypervisorErrors.QemuDied, $"QEMU ended at once, {how}; {words}");
    }

    // wait(2): the low seven bits are the signal, or zero with the exit code in the next byte.
    private static VmExit Describe(ShutdownReason reason, int? status, string lastWords) => status is not { } value
        ? new(reason, null, null, lastWords)
        : (value & 0x7f) == 0 ? new(reason, (value >> 8) & 0xff, null, lastWords) : new(reason, null, value & 0x7f, lastWords);

    private async Task<VmExit> WatchAsync()
    {
        ShutdownReason reason = ShutdownReason.Unexplained;
        await foreach (QmpEvent message in Monitor.Events.ReadAllAsync().ConfigureAwait(false))
        {
            // The first one counts: after it, QEMU may report the host's quit as a second shutdown.
            if (message.Name == "SHUTDOWN" && reason == ShutdownReason.Unexplained)
            {
                reason = VmExit.Explain(message);
            }
        }

        int? status = await _process.Exited.ConfigureAwait(false);
        return Describe(_departure ?? reason, status, _process.LastWords);
    }

    private async Task<bool> TellAsync(string command)
    {
        try
        {
            await Monitor.ExecuteAsync(command, timeout: AnswerGrace).ConfigureAwait(false);
            return true;
        }
        catch (KaslrMtException)
        {
            // The VM is ending, or its monitor is stuck: what follows is harsher and needs no monitor.
            return false;
        }
    }

    private async Task<bool> ExitsWithinAsync(TimeSpan time) =>
        await Task.WhenAny(_exit, Task.Delay(time)).ConfigureAwait(false) == _exit;
}

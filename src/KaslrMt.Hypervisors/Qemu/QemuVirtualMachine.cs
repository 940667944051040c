using KaslrMt.Guests;

namespace KaslrMt.Hypervisors;

/// <summary>A QEMU that this process owns.</summary>
internal sealed partial class QemuVirtualMachine : IVirtualMachine
{
    // An event takes 100 to 400 bytes of the file.
    private const int EventsBetweenTrims = 256;

    private static readonly TimeSpan QuitGrace = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan AnswerGrace = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan DyingGrace = TimeSpan.FromSeconds(1);

    private readonly QemuProcess _process;
    private readonly UnixSocketPath[] _sockets;
    private readonly string _folder;
    private readonly QemuConnection _connection;
    private readonly Task<VmExit> _exit;
    private readonly SemaphoreSlim _reset = new(0);
    private bool _released;

    private QemuVirtualMachine(QemuProcess process, QmpClient monitor, string folder, UnixSocketPath[] sockets)
    {
        _process = process;
        _folder = folder;
        _sockets = sockets;
        _connection = new QemuConnection(monitor, process.Id);
        Monitor = monitor;
        _exit = Task.Run(WatchAsync);
    }

    /// <inheritdoc/>
    public int ProcessId => _process.Id;

    /// <inheritdoc/>
    public ulong ProcessStartTime => _process.StartTime;

    /// <summary>Gets the owner's monitor. This class takes its events.</summary>
    internal QmpClient Monitor { get; }

    /// <summary>Starts QEMU and returns once its monitor answers: by then it has read the kernel and initrd into memory.</summary>
    /// <exception cref="KaslrMtException">
    /// <see cref="HypervisorErrors.ProgramMissing"/>; <see cref="HypervisorErrors.VmDied"/> with QEMU's last words;
    /// <see cref="HypervisorErrors.MonitorTimeout"/>; <see cref="HypervisorErrors.FileUnreadable"/>; <see cref="HypervisorErrors.SettingInvalid"/>.
    /// </exception>
    public static async Task<QemuVirtualMachine> StartAsync(
        MachineDefinition definition, VmFolder folder, CancellationToken cancellationToken = default)
    {
        MachineCheck.Run(definition);
        if (definition.RunAs is { } user)
        {
            folder.OpenTo(user);
        }

        UnixSocketPath owner = UnixSocketPath.For(folder.OwnerSocket);
        UnixSocketPath others = UnixSocketPath.For(folder.MonitorSocket);
        UnixSocketPath? console = definition.Console.SocketPath is { } path ? UnixSocketPath.For(path) : null;
        UnixSocketPath[] sockets = console is null ? [owner, others] : [owner, others, console];
        QemuProcess? process = null;
        try
        {
            File.Delete(folder.OwnerSocket);
            QemuEventFile.Create(folder.Path, definition.RunAs);
            if (definition.HasGate)
            {
                GateFile.Write(folder.GatePath);
                definition = definition with { Kernel = folder.GatePath };
            }

            List<string> arguments = QemuArguments.Build(
                definition, folder.Name, folder.Path, [owner.Short, others.Short], console?.Short);
            process = await QemuProcess.StartAsync(definition, arguments).ConfigureAwait(false);
            QmpClient monitor = await ConnectAsync(process, folder.OwnerSocket, definition.StartTimeout, cancellationToken).ConfigureAwait(false);
            return new QemuVirtualMachine(process, monitor, folder.Path, sockets);
        }
        catch
        {
            process?.Dispose();
            Array.ForEach(sockets, socket => socket.Dispose());
            throw;
        }
        finally
        {
            // QEMU keeps what it has read, and puts it back into memory at each reset.
            File.Delete(folder.GatePath);
        }
    }

    /// <summary>Takes over a VM that outlived its owner.</summary>
    /// <param name="folder">The VM's folder, adopted.</param>
    /// <param name="processId">Its QEMU, as noted.</param>
    /// <param name="startTime">When that QEMU started, as noted.</param>
    /// <param name="timeout">How long its monitor may take to answer.</param>
    /// <param name="cancellationToken">Gives up; the VM goes on.</param>
    /// <returns>The VM, or null when its QEMU is gone.</returns>
    /// <exception cref="KaslrMtException">The monitor does not answer: errors of the monitor. The VM goes on.</exception>
    public static async Task<QemuVirtualMachine?> AttachAsync(
        VmFolder folder, int processId, ulong startTime, TimeSpan timeout, CancellationToken cancellationToken = default)
    {
        if (QemuProcess.TryAttach(processId, startTime, folder.Path) is not { } process)
        {
            return null;
        }

        try
        {
            QmpClient monitor = await QmpClient.ConnectAsync(folder.OwnerSocket, timeout, processId, cancellationToken).ConfigureAwait(false);
            return new QemuVirtualMachine(process, monitor, folder.Path, []);
        }
        catch
        {
            process.Release();
            throw;
        }
    }

    /// <inheritdoc/>
    public Task<string> StatusAsync(CancellationToken cancellationToken = default) => _connection.StatusAsync(cancellationToken);

    /// <inheritdoc/>
    public Task<string> MachineTypeAsync(CancellationToken cancellationToken = default) => _connection.MachineTypeAsync(cancellationToken);

    /// <inheritdoc/>
    public Task PauseAsync(CancellationToken cancellationToken = default) => _connection.PauseAsync(cancellationToken);

    /// <inheritdoc/>
    public Task ContinueAsync(CancellationToken cancellationToken = default) => _connection.ContinueAsync(cancellationToken);

    /// <inheritdoc/>
    public Task RequestPowerOffAsync(CancellationToken cancellationToken = default) => _connection.RequestPowerOffAsync(cancellationToken);

    /// <inheritdoc/>
    public Task QuitAsync(CancellationToken cancellationToken = default) => _connection.QuitAsync(cancellationToken);

    /// <inheritdoc/>
    public Task<IGuestMemory> OpenMemoryAsync(CancellationToken cancellationToken = default) => _connection.OpenMemoryAsync(cancellationToken);

    /// <inheritdoc/>
    public Task<KernelHints> ReadHintsAsync(CancellationToken cancellationToken = default) => _connection.ReadHintsAsync(cancellationToken);

    /// <inheritdoc/>
    public Task<ulong> ReadCr3Async(CancellationToken cancellationToken = default) => _connection.ReadCr3Async(cancellationToken);

    /// <inheritdoc/>
    public Task<VmExit> WaitForExitAsync(CancellationToken cancellationToken = default) => _exit.WaitAsync(cancellationToken);

    /// <inheritdoc/>
    public async Task<VmGate> WaitForGateAsync(TimeSpan patience, CancellationToken cancellationToken = default)
    {
        VmGate gate = new(await QemuRamAccess.OpenAsync(Monitor, _process, cancellationToken).ConfigureAwait(false));
        try
        {
            await gate.WaitAsync(patience, cancellationToken).ConfigureAwait(false);

            // The resets that brought the guest here are over.
            Drain(_reset);
            return gate;
        }
        catch
        {
            gate.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public async Task WaitForResetAsync(CancellationToken cancellationToken = default)
    {
        await _reset.WaitAsync(cancellationToken).ConfigureAwait(false);

        // Several resets are one to who looks now.
        Drain(_reset);
    }

    /// <inheritdoc/>
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

    /// <inheritdoc/>
    public async ValueTask ReleaseAsync()
    {
        _released = true;
        await Monitor.DisposeAsync().ConfigureAwait(false);
        Array.ForEach(_sockets, socket => socket.Dispose());
    }

    /// <summary>Ends the VM without asking the guest, if it still runs and was not let go of.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_released)
        {
            return;
        }

        if (!_exit.IsCompleted)
        {
            await StopAsync(TimeSpan.Zero).ConfigureAwait(false);
        }

        await Monitor.DisposeAsync().ConfigureAwait(false);
        _process.Dispose();
        Array.ForEach(_sockets, socket => socket.Dispose());
    }

    private static void Drain(SemaphoreSlim signal)
    {
        while (signal.Wait(0))
        {
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
        return new KaslrMtException(HypervisorErrors.VmDied, $"QEMU ended at once, {how}; {words}");
    }

    // wait(2): the low seven bits are the signal, or zero with the exit code in the next byte.
    private static VmExit Describe(ShutdownReason reason, int? status, string lastWords) => status is not { } value
        ? new(reason, null, null, lastWords)
        : (value & 0x7f) == 0 ? new(reason, (value >> 8) & 0xff, null, lastWords) : new(reason, null, value & 0x7f, lastWords);

    private async Task<VmExit> WatchAsync()
    {
        ShutdownReason reason = ShutdownReason.Unexplained;
        int events = 0;
        await foreach (QmpEvent message in Monitor.Events.ReadAllAsync().ConfigureAwait(false))
        {
            // The first one counts: after it, QEMU may report the host's quit as a second shutdown.
            if (message.Name == "SHUTDOWN" && reason == ShutdownReason.Unexplained)
            {
                reason = VmExit.Explain(message);
            }

            if (message.Name == "RESET" && _reset.CurrentCount == 0)
            {
                _reset.Release();
            }

            if (++events % EventsBetweenTrims == 0)
            {
                QemuEventFile.Trim(_folder);
            }
        }

        int? status = await _process.Exited.ConfigureAwait(false);

        // QEMU may have said why just before this owner attached, or while the monitor's connection was broken.
        if (reason == ShutdownReason.Unexplained)
        {
            reason = QemuEventFile.ReadEnd(_folder).Reason;
        }

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

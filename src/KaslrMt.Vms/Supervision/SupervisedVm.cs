using System.Diagnostics.CodeAnalysis;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;

namespace KaslrMt.Vms;

/// <summary>A VM that outlives the command that started it, as its supervisor holds it.</summary>
/// <remarks>
/// Its death harms no VM: the hypervisor goes on, and the next supervisor takes the VM over from its folder (<see cref="AdoptAsync"/>). The folder has the specification and the
/// layout, and no key: a guest that reboots gets what the key gave before, which is what the key would give again while the number of slots is the same; where it is not, the
/// tenant table is asked.
/// </remarks>
[SuppressMessage("Reliability", "CA1001", Justification = "Its run disposes of what it owns when the VM has ended; nobody else knows when that is.")]
internal sealed class SupervisedVm
{
    private static readonly TimeSpan AdoptionPatience = TimeSpan.FromSeconds(5);

    private readonly TaskCompletionSource<bool?> _running = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _stop = new();
    private readonly VmHost _host;
    private readonly VmFolder _folder;
    private readonly VmLog _file;
    private readonly LineLogger _log;
    private VmOwner? _owner;
    private OutgoingMigration? _outgoing;

    private SupervisedVm(VmHost host, VmFolder folder, VmSpec spec, Action<string>? starter)
    {
        _host = host;
        _folder = folder;
        Spec = spec;
        _file = new VmLog(folder.Path, starter);
        _log = new LineLogger(_file.WriteLine);
        Ended = _running.Task.ContinueWith(_ => (VmExit?)null, TaskScheduler.Default);
    }

    /// <summary>Gets the VM's specification.</summary>
    public VmSpec Spec { get; private set; }

    /// <summary>
    /// Completes once the VM runs: whether its memory holds its layout, or null where it was not compared. Fails when the VM ended before, with the reason.
    /// </summary>
    public Task<bool?> Running => _running.Task;

    /// <summary>Completes when the VM has ended and nothing of it is left; null where it never ran.</summary>
    public Task<VmExit?> Ended { get; private set; }

    /// <summary>Starts a VM.</summary>
    /// <param name="host">What all VMs of this process share.</param>
    /// <param name="spec">The VM.</param>
    /// <param name="secrets">Its secrets; owned by the VM from here on.</param>
    /// <param name="user">The rights that the VM's files are opened with and its hypervisor runs with; null for this process's own.</param>
    /// <param name="starter">Takes lines of its log until it runs.</param>
    /// <exception cref="KaslrMtException">The name is in use. All later failures are <see cref="Running"/>'s.</exception>
    public static SupervisedVm Start(VmHost host, VmSpec spec, VmSecrets secrets, ProcessUser? user, Action<string>? starter)
    {
        VmFolder folder = host.Runtime.Claim(spec.Name);
        CrashPoint.Reached("start-claimed");
        VmUserFile.Write(folder, user);
        var vm = new SupervisedVm(host, folder, spec, starter);
        vm.Begin(() => vm.StartAsync(secrets));
        return vm;
    }

    /// <summary>Takes over a VM that runs though its supervisor died.</summary>
    /// <param name="host">What all VMs of this process share.</param>
    /// <param name="name">The VM.</param>
    /// <returns>The VM; null when it has a supervisor, or none of this name is there any more.</returns>
    public static SupervisedVm? Adopt(VmHost host, string name)
    {
        if (host.Runtime.TryAdopt(name) is not { } folder)
        {
            return null;
        }

        try
        {
            var vm = new SupervisedVm(host, folder, VmSpec.ReadFrom(folder), starter: null);
            vm.Begin(vm.AdoptAsync);
            return vm;
        }
        catch
        {
            // Its hypervisor goes on; the next supervisor tries again.
            folder.Abandon();
            throw;
        }
    }

    /// <summary>Starts a VM from the file that it was saved to.</summary>
    /// <param name="host">What all VMs of this process share.</param>
    /// <param name="name">The VM.</param>
    /// <param name="file">The absolute path of the file.</param>
    /// <param name="table">The VM's tenant table; null where it is in none.</param>
    /// <param name="user">The rights that the VM's files are opened with and its hypervisor runs with; null for this process's own.</param>
    /// <param name="starter">Takes lines of its log until it runs.</param>
    public static SupervisedVm Restore(VmHost host, string name, string file, TableSettings? table, ProcessUser? user, Action<string>? starter)
    {
        (MigrationHeader header, _) = MigrationHeader.ReadFrom(file);
        SupervisedVm vm = Claim(host, header.Spec, name, user, starter);
        HostTable? shared = table is null ? null : host.Tables.Get(table);
        vm.Begin(async () => await vm.GoOnAsync(await IncomingMigration.FromFileAsync(name, file, shared, host, vm._folder, user, vm._log, vm._stop.Token).ConfigureAwait(false)).ConfigureAwait(false));
        return vm;
    }

    /// <summary>Takes a VM that another host sends.</summary>
    /// <param name="host">What all VMs of this process share.</param>
    /// <param name="link">The link; in use until <see cref="Running"/> completes.</param>
    /// <param name="header">The VM.</param>
    /// <param name="table">This host's tenant table.</param>
    /// <param name="user">The rights that the VM's files are opened with and its hypervisor runs with; null for this process's own.</param>
    /// <param name="starter">Takes lines of its log until it runs.</param>
    /// <param name="cancellationToken">Gives up, as long as the source has not given the guest away.</param>
    public static SupervisedVm Receive(
        VmHost host, MigrationLink link, MigrationHeader header, HostTable table, ProcessUser? user, Action<string>? starter, CancellationToken cancellationToken)
    {
        SupervisedVm vm = Claim(host, header.Spec, header.Spec.Name, user, starter);
        vm.Begin(async () => await vm.GoOnAsync(
            await IncomingMigration.FromHostAsync(link, header, table, host, vm._folder, user, vm._log, cancellationToken, vm._stop.Token).ConfigureAwait(false)).ConfigureAwait(false));
        return vm;
    }

    /// <summary>Asks the VM to stop: its guest to power off, then its hypervisor to quit.</summary>
    /// <param name="grace">How long its guest may take.</param>
    public void Stop(TimeSpan grace)
    {
        if (_owner is not null)
        {
            _owner.StopGrace = grace;
        }

        CrashPoint.Reached("stop-told");
        _stop.Cancel();
    }

    /// <inheritdoc cref="Stop(TimeSpan)"/>
    public void Stop() => _stop.Cancel();

    /// <summary>Saves the VM to a new file. When this fails, the VM goes on.</summary>
    /// <param name="file">The absolute path of the file; it must not exist.</param>
    /// <param name="cancellationToken">Cancels, if it is not too late.</param>
    public Task<MoveReport> SaveAsync(string file, CancellationToken cancellationToken) => Movable().SaveAsync(file, cancellationToken);

    /// <summary>Moves the VM to a host that awaits it. When this fails, the VM goes on.</summary>
    /// <param name="address">Where that host listens.</param>
    /// <param name="cancellationToken">Cancels, if it is not too late.</param>
    public Task<MoveReport> MigrateAsync(LinkAddress address, CancellationToken cancellationToken) => Movable().MigrateAsync(address, cancellationToken);

    private static SupervisedVm Claim(VmHost host, VmSpec spec, string name, ProcessUser? user, Action<string>? starter)
    {
        VmFolder folder = host.Runtime.Claim(name);
        VmUserFile.Write(folder, user);
        folder.WriteState(VmState.OwnedByThisProcess(name) with { Tenant = spec.Tenant, Detached = true, Moving = true });
        return new SupervisedVm(host, folder, spec, starter);
    }

    private OutgoingMigration Movable() =>
        Volatile.Read(ref _outgoing) ?? throw new KaslrMtException(VmErrors.CannotMove, $"'{Spec.Name}' is just starting", "try again in a moment");

    private void Begin(Func<Task<VmExit?>> run) => Ended = Task.Run(async () =>
    {
        try
        {
            VmExit? exit = await run().ConfigureAwait(false);
            CrashPoint.Reached("stop-left");
            _log.Ended(Spec.Name, exit?.Reason.ToString() ?? "not here");
            _running.TrySetException(Failure(exit));
            return exit;
        }
        catch (Exception failure)
        {
            // One that is no outcome is a fault of this program, and nobody may wait for it: the VM may have run for days.
            if (failure is not (KaslrMtException or OperationCanceledException or IOException or UnauthorizedAccessException))
            {
                _host.Log.SupervisionFailed(failure, Spec.Name);
            }

            _running.TrySetException(failure);
            return null;
        }
        finally
        {
            // Nobody may await it.
            _ = _running.Task.Exception;
            _folder.Dispose();
        }
    });

    private async Task<VmExit?> StartAsync(VmSecrets secrets)
    {
        using LayoutRequest request = LayoutRequest.Of(Spec, secrets);
        Spec.WriteTo(_folder);
        CrashPoint.Reached("start-kept");
        if (Spec.Table is null)
        {
            return await OwnAsync(request, null, null, null, null).ConfigureAwait(false);
        }

        HostTable table = _host.Tables.Get(Spec.Table);
        await using VmRegistration registration = await VmRegistration
            .EnterAsync(table, Spec, request.Policy, outlivesOwner: true, _log, _stop.Token).ConfigureAwait(false);
        CrashPoint.Reached("start-entered");
        request.Key = registration.TakeKey();
        RegistrationFile.Of(registration.Vm, Spec.Table).WriteTo(_folder);
        registration.Renewed = vm => RegistrationFile.Of(vm, Spec.Table).WriteTo(_folder);
        return await OwnAsync(request, null, null, registration, null).ConfigureAwait(false);
    }

    private async Task<VmExit?> AdoptAsync()
    {
        IVirtualMachine? running = null;
        try
        {
            VmRecord? record = Spec.Table is null ? null : RegistrationFile.ReadFrom(_folder).ToRecord(Spec.Name);
            VmState state = _folder.ReadState()!;
            HostTable? table = Spec.Table is null ? null : _host.Tables.Get(Spec.Table);
            if (state is { ProcessId: int process, ProcessStartTime: ulong start })
            {
                running = await Hypervisor.Default.AttachAsync(_folder, process, start, AdoptionPatience).ConfigureAwait(false);
            }

            if (running is not null && state.Moving)
            {
                (bool here, record) = await MigrationRecovery.RunAsync(table, record, running, _folder).ConfigureAwait(false);
                if (!here)
                {
                    await running.DisposeAsync().ConfigureAwait(false);
                    return null;
                }

                state = _folder.ReadState()! with { Moving = false };
                _folder.WriteState(state);
            }

            using LayoutRequest request = LayoutRequest.Of(Spec, VmSecrets.None, IntendedLayout.ReadFrom(_folder.Path)?.Draws());
            await using VmRegistration? registration = record is null ? null : VmRegistration.TakeOver(table!, record, _log);
            if (registration is not null)
            {
                registration.Renewed = vm => RegistrationFile.Of(vm, Spec.Table!).WriteTo(_folder);
                _ = registration.ReportAsync(running?.ProcessId, state.Release);
            }

            _running.TrySetResult(null);
            return await GoOnAsync(request, state, running, registration).ConfigureAwait(false);
        }
        catch (KaslrMtException error) when (_stop.IsCancellationRequested && _owner is null)
        {
            // It hangs, and was told to stop meanwhile: what cannot be asked is ended, as a VM that does not answer its owner is.
            _log.EndedUnasked(error.Code, Spec.Name, error.Message);
            _folder.EndHypervisor();
            return new VmExit(ShutdownReason.HostSignal, null, null, "");
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            (ErrorCode code, string problem) = error is KaslrMtException known ? (known.Code, known.Message) : (CoreErrors.Internal, error.GetType().Name);
            _log.NotSupervised(code, Spec.Name, problem);

            // Its hypervisor, if there is one, goes on; the next look tries again.
            _folder.Abandon();
            throw;
        }
    }

    // A hypervisor that ended while no supervisor lived has left its reason: a reset guest boots again, all else is over.
    private async Task<VmExit?> GoOnAsync(LayoutRequest request, VmState state, IVirtualMachine? running, VmRegistration? registration)
    {
        if (running is null && state.ProcessId is not null)
        {
            ShutdownReason reason = Hypervisor.Default.ReadEnd(_folder.Path).Reason;
            _log.EndedUnseen(Spec.Name, reason);
            if (reason != ShutdownReason.Reboot || Spec.UserArguments.RebootEnds)
            {
                return new VmExit(reason, null, null, "");
            }

            state = state with { Reboots = state.Reboots + 1 };
        }

        if (running is not null)
        {
            _log.TakenOver(Spec.Name, Environment.ProcessId);
        }

        return await OwnAsync(request, state, running, registration, null).ConfigureAwait(false);
    }

    private async Task<VmExit?> GoOnAsync(IncomingMigration incoming)
    {
        await using (incoming.ConfigureAwait(false))
        {
            Spec = incoming.Spec;
            using LayoutRequest request = incoming.Request;
            await using VmRegistration? registration = incoming.Registration;
            return await OwnAsync(request, incoming.State, incoming.TakeVm(), registration, incoming.Layout).ConfigureAwait(false);
        }
    }

    private async Task<VmExit?> OwnAsync(LayoutRequest request, VmState? adopted, IVirtualMachine? running, VmRegistration? registration, IntendedLayout? arrived)
    {
        // A guest that reboots with another kernel needs the key, and this process may not have it.
        request.ReloadKey = registration is null || request.Key is not null ? null : registration.ReloadKey;
        _owner = new VmOwner(_host, Spec, request, _log)
        {
            Detached = true,
            User = VmUserFile.Read(_folder),
            Registration = registration,
            Arrived = arrived,
            Verified = verified =>
            {
                _file.Detach();
                _running.TrySetResult(verified);
            },
        };
        Volatile.Write(ref _outgoing, new OutgoingMigration(Spec, _folder, registration, _owner));
        return await _owner.RunAsync(_folder, adopted, running, _stop.Token).ConfigureAwait(false);
    }

    private KaslrMtException Failure(VmExit? exit) => exit is null
        ? new(VmErrors.Ended, $"'{Spec.Name}' ended before it ran")
        : new(VmErrors.Ended, $"'{Spec.Name}' ended before it ran ({VmEndText.Describe(exit)})", "look at its console");
}

using KaslrMt.Hypervisors;
using Microsoft.Extensions.Logging;

namespace KaslrMt.Vms;

/// <summary>Runs a VM from its first boot to its end: boots it, verifies it, and boots it anew when its guest reboots.</summary>
/// <param name="host">What all VMs of this process share.</param>
/// <param name="spec">The VM.</param>
/// <param name="request">What its layouts are chosen from.</param>
/// <param name="log">Takes the owner's own lines.</param>
internal sealed class VmOwner(VmHost host, VmSpec spec, LayoutRequest request, ILogger log)
{
    private static readonly TimeSpan BootPatience = TimeSpan.FromMinutes(2);

    // How long an adopted guest may be on its way through firmware.
    private static readonly TimeSpan LookPatience = TimeSpan.FromMinutes(1);

    private readonly Lock _gate = new();
    private OwnedVm? _current;
    private bool _adopted;

    /// <summary>Whether the VM goes on when this process dies, for a later owner to take over.</summary>
    public bool Detached { get; init; }

    /// <summary>The rights that the VM's files are opened with and its hypervisor runs with; null for this process's own.</summary>
    public ProcessUser? User { get; init; }

    /// <summary>Told once, when the VM runs: whether its memory holds the layout, or null where it was not compared.</summary>
    public Action<bool?>? Verified { get; init; }

    /// <summary>The VM's record in the tenant table, which is told of its processes; or null.</summary>
    public VmRegistration? Registration { get; init; }

    /// <summary>The layout of a VM that came from a file or another host, to be compared with its memory; or null.</summary>
    public IntendedLayout? Arrived { get; init; }

    /// <summary>How long the guest may take to power off when the VM is stopped.</summary>
    public TimeSpan StopGrace { get; set; } = TimeSpan.FromSeconds(3);

    /// <summary>Gets the VM while its hypervisor runs; null between two boots.</summary>
    public OwnedVm? Current => Volatile.Read(ref _current);

    /// <summary>Notes a state of the VM in its folder, unless its hypervisor has ended meanwhile: then what is noted is this owner's to say.</summary>
    public void Note(OwnedVm running, VmFolder folder, VmState state)
    {
        lock (_gate)
        {
            if (ReferenceEquals(_current?.Vm, running.Vm))
            {
                folder.WriteState(state);
            }
        }
    }

    /// <summary>Runs the VM in a folder that is claimed or adopted.</summary>
    /// <param name="folder">The VM's folder.</param>
    /// <param name="adopted">The state of an adopted VM, or null.</param>
    /// <param name="running">An adopted VM that runs; null to boot one. It is ended with this.</param>
    /// <param name="cancellationToken">Cancelled when the VM is to stop.</param>
    /// <returns>How the VM ended.</returns>
    public async Task<VmExit> RunAsync(VmFolder folder, VmState? adopted, IVirtualMachine? running, CancellationToken cancellationToken)
    {
        var pipeline = new BootPipeline(spec, request, log, host.KernelsFor(spec), User, host.UsesScopes);
        VmState first = adopted ?? spec.FirstState(Detached);
        for (int boot = first.Reboots; ; boot++)
        {
            VmExit exit;
            _adopted = running is not null;
            if (running is not null)
            {
                exit = await OwnAsync(pipeline, folder, running, first, Arrived, cancellationToken).ConfigureAwait(false);
                running = null;
            }
            else
            {
                VmState state = first with { Reboots = boot, ProcessId = null, ProcessStartTime = null };
                folder.WriteState(state);
                try
                {
                    exit = await BootAsync(pipeline, folder, state, boot, cancellationToken).ConfigureAwait(false);
                }
                catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
                {
                    // The hypervisor was just starting, for the first time or after a reboot.
                    return new VmExit(ShutdownReason.HostSignal, null, null, "");
                }
            }

            bool again = exit.Reason == ShutdownReason.Reboot && !spec.UserArguments.RebootEnds && !cancellationToken.IsCancellationRequested;
            if (!again)
            {
                return exit;
            }

            log.Reboots(spec.Name);
        }
    }

    private async Task<VmExit> BootAsync(BootPipeline pipeline, VmFolder folder, VmState state, int boot, CancellationToken cancellationToken)
    {
        void Note(IVirtualMachine launched)
        {
            CrashPoint.Reached("start-launched");
            state = state with { ProcessId = launched.ProcessId, ProcessStartTime = launched.ProcessStartTime };
            folder.WriteState(state);
            CrashPoint.Reached("start-noted");
        }

        (IVirtualMachine vm, IntendedLayout? intended, _, _) = await pipeline.StartAsync(folder, boot, Detached, Note, cancellationToken).ConfigureAwait(false);
        await (Registration?.ReportAsync(vm.ProcessId, intended?.Kernel.Release) ?? Task.CompletedTask).ConfigureAwait(false);
        state = state with { Release = intended?.Kernel.Release };
        folder.WriteState(state);
        if (boot == 0)
        {
            log.Started(spec.Name, request.Memory.ToString(), request.Machine.ToString()!, spec.AcceleratorChoice.Argument, spec.AcceleratorReason);
        }

        return await OwnAsync(pipeline, folder, vm, state, intended, cancellationToken).ConfigureAwait(false);
    }

    private async Task<VmExit> OwnAsync(
        BootPipeline pipeline, VmFolder folder, IVirtualMachine vm, VmState state, IntendedLayout? intended, CancellationToken cancellationToken)
    {
        await using (vm.ConfigureAwait(false))
        {
            SetCurrent(new OwnedVm(vm, state));
            try
            {
                return await WatchAsync(pipeline, folder, vm, intended, cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                SetCurrent(null);
            }
        }
    }

    private void Change(VmFolder folder, Func<VmState, VmState> change)
    {
        lock (_gate)
        {
            if (_current is { } now)
            {
                _current = now with { State = change(now.State) };
                try
                {
                    folder.WriteState(_current.State);
                }
                catch (Exception error) when (error is IOException or UnauthorizedAccessException)
                {
                    // The guest runs all the same; the next change is written whole.
                    log.Problem(CoreErrors.WriteFailed, $"the state of {spec.Name} cannot be written: {FileProblem.Reason(error)}");
                }
            }
        }
    }

    private void SetCurrent(OwnedVm? running)
    {
        lock (_gate)
        {
            _current = running;
        }
    }

    private async Task<VmExit> WatchAsync(BootPipeline pipeline, VmFolder folder, IVirtualMachine vm, IntendedLayout? intended, CancellationToken cancellationToken)
    {
        Task<VmExit> ended = vm.WaitForExitAsync(CancellationToken.None);
        using var watching = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task watched = BootsAsync(pipeline, folder, vm, intended, ended, watching.Token);
        try
        {
            await ended.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            log.Stopping(spec.Name);
            await vm.StopAsync(StopGrace).ConfigureAwait(false);
        }

        await watching.CancelAsync().ConfigureAwait(false);
        await watched.ConfigureAwait(false);
        return await ended.ConfigureAwait(false);
    }

    // Verifies the boot that is under way, and puts a kernel into the guest at every later one.
    private async Task BootsAsync(BootPipeline pipeline, VmFolder folder, IVirtualMachine vm, IntendedLayout? intended, Task<VmExit> ended, CancellationToken cancellationToken)
    {
        var feeder = new RebootFeeder(pipeline, vm, folder, log);
        TimeSpan look = intended is not null && Arrived is null && !_adopted ? TimeSpan.Zero : spec.UserArguments.StaysPaused ? Timeout.InfiniteTimeSpan : LookPatience;
        while (true)
        {
            using var boot = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            Task verified = VerifyAsync(vm, intended, ended, boot.Token);
            IntendedLayout? next = null;
            async Task EndVerificationAsync()
            {
                await boot.CancelAsync().ConfigureAwait(false);
                await verified.ConfigureAwait(false);
            }

            try
            {
                next = await feeder.NextBootAsync(look, EndVerificationAsync, change => Change(folder, change), cancellationToken).ConfigureAwait(false);
                look = TimeSpan.Zero;
            }
            catch (Exception error) when (error is OperationCanceledException or KaslrMtException)
            {
                // The VM is ending, or has ended.
            }

            await EndVerificationAsync().ConfigureAwait(false);
            if (next is null)
            {
                return;
            }

            intended = next;
        }
    }

    private async Task VerifyAsync(IVirtualMachine vm, IntendedLayout? intended, Task ended, CancellationToken cancellationToken)
    {
        bool staysPaused = spec.UserArguments.StaysPaused;
        if (staysPaused)
        {
            Verified?.Invoke(null);
        }

        bool? verified = intended is null || !spec.Verify || staysPaused ? null : await CompareAsync(vm, intended, ended, cancellationToken).ConfigureAwait(false);
        if (!staysPaused && !ended.IsCompleted && !cancellationToken.IsCancellationRequested)
        {
            Verified?.Invoke(verified);
        }
    }

    private async Task<bool?> CompareAsync(IVirtualMachine vm, IntendedLayout intended, Task ended, CancellationToken cancellationToken)
    {
        try
        {
            LayoutVerification verification = await LayoutVerification
                .RunAsync(intended, vm, BootPatience, cancellationToken).ConfigureAwait(false);
            if (verification.Matches)
            {
                log.LayoutVerified(spec.Name);
            }
            else
            {
                log.LayoutDiffers(spec.Name);
            }

            return KeepsPolicy(verification) && verification.Matches;
        }
        catch (KaslrMtException error)
        {
            // A guest that ended, or ends within a moment, takes its memory and monitor along: nothing to say then.
            if (await Task.WhenAny(ended, Task.Delay(TimeSpan.FromSeconds(1), CancellationToken.None)).ConfigureAwait(false) != ended)
            {
                log.LayoutNotVerified(spec.Name, error.Code, error.Message);
            }
        }
        catch (OperationCanceledException)
        {
            // The VM is being stopped.
        }

        return null;
    }

    private bool KeepsPolicy(LayoutVerification seen)
    {
        PolicyCheck? check = spec.Tenant is null
            ? null
            : PolicyCheck.Check(spec.Tenant, host.Runtime.List(), new Dictionary<string, LayoutVerification> { [spec.Name] = seen });
        bool kept = true;
        foreach (string violation in check?.Violations.Where(one => one.Vms.Contains(spec.Name)).Select(PolicyCheck.Describe) ?? [])
        {
            kept = false;
            log.PolicyViolated(spec.Name, spec.Tenant, violation);
        }

        return kept;
    }
}

/// <summary>A hypervisor of this process's, and what the VM's folder says.</summary>
/// <param name="Vm">The running VM.</param>
/// <param name="State">Its state.</param>
internal sealed record OwnedVm(IVirtualMachine Vm, VmState State);

using KaslrMt.Hypervisors;

namespace KaslrMt.Vms;

/// <summary>A VM that this process runs. Disposing ends the VM at once; so does the end of this process.</summary>
/// <remarks>A guest that reboots is booted anew, in the same hypervisor's place: with new per-VM bases and the same per-tenant ones.</remarks>
public sealed class LocalVm : IAsyncDisposable
{
    private static readonly TimeSpan BootPatience = TimeSpan.FromMinutes(2);

    private readonly LayoutRequest _request;
    private readonly VmFolder _folder;
    private readonly VmRegistration? _registration;
    private readonly VmOwner _owner;
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource<bool?> _running = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task<VmExit> _run = Task.FromException<VmExit>(new InvalidOperationException("the VM was not started"));
    private int _disposed;

    private LocalVm(VmHost host, VmSpec spec, LayoutRequest request, VmFolder folder, VmRegistration? registration)
    {
        (Spec, _request, _folder, _registration) = (spec, request, folder, registration);
        _owner = new VmOwner(host, spec, request, host.Log)
        {
            Registration = registration,
            Verified = verified => _running.TrySetResult(verified),
        };
    }

    /// <summary>Gets the VM's name.</summary>
    public string Name => Spec.Name;

    /// <summary>Gets the VM's specification.</summary>
    public VmSpec Spec { get; }

    /// <summary>
    /// Gets whether the VM's memory held the layout it was given, after its first boot; null where that was not compared: <see cref="VmSpec.Verify"/> is off, the kernel
    /// booted with its own KASLR, or no kernel showed in time.
    /// </summary>
    public bool? Verified => _running.Task.IsCompletedSuccessfully ? _running.Task.Result : null;

    internal static async Task<LocalVm> StartAsync(VmHost host, VmSpec spec, VmSecrets secrets, CancellationToken cancellationToken)
    {
        LocalVm vm = await ClaimAsync(host, spec, secrets, cancellationToken).ConfigureAwait(false);
        vm._run = Task.Run(vm.RunAsync, CancellationToken.None);
        try
        {
            await Task.WhenAny(vm._running.Task, vm._run).WaitAsync(cancellationToken).ConfigureAwait(false);
            if (vm._running.Task.IsCompletedSuccessfully)
            {
                return vm;
            }

            VmExit exit = await vm._run.ConfigureAwait(false);
            throw new KaslrMtException(VmErrors.Ended, $"'{spec.Name}' ended before it ran ({VmEndText.Describe(exit)})", "look at its console");
        }
        catch
        {
            await vm.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Compares the layout that the VM was given with what its memory holds now, read from outside; waits up to two minutes until its kernel has set up its memory.</summary>
    /// <param name="cancellationToken">Ends the wait; the VM goes on.</param>
    /// <exception cref="KaslrMtException">
    /// <see cref="VmErrors.NoLayout"/>: the kernel booted with its own KASLR. <see cref="VmErrors.NotStarted"/>: the guest is rebooting, or has ended. KMT5011: no kernel
    /// showed in time. Errors of the hypervisor and the guest's memory.
    /// </exception>
    public async Task<LayoutVerification> VerifyAsync(CancellationToken cancellationToken = default)
    {
        while (true)
        {
            OwnedVm running = _owner.Current ?? throw new KaslrMtException(VmErrors.NotStarted, $"'{Name}' has no hypervisor: it is rebooting, or has ended", "try again in a moment if it runs");
            IntendedLayout? intended = IntendedLayout.ReadFrom(_folder.Path);
            if (!ReferenceEquals(running, _owner.Current))
            {
                // The guest rebooted meanwhile: what was read may be the next boot's layout.
                continue;
            }

            return intended is not null
                ? await LayoutVerification.RunAsync(intended, running.Vm, BootPatience, cancellationToken).ConfigureAwait(false)
                : throw new KaslrMtException(VmErrors.NoLayout, $"'{Name}' was given no layout: it boots with its kernel's own KASLR");
        }
    }

    /// <summary>Stops the VM: asks the guest to power off, and ends the hypervisor when the guest has not done so in time.</summary>
    /// <param name="grace">How long the guest may take; null for three seconds, zero to end the VM at once.</param>
    /// <param name="cancellationToken">Ends the wait; the VM ends nevertheless.</param>
    /// <returns>How the VM ended. A VM that has ended already is left alone.</returns>
    public async Task<VmExit> StopAsync(TimeSpan? grace = null, CancellationToken cancellationToken = default)
    {
        if (grace is { } time)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(time, TimeSpan.Zero, nameof(grace));
            _owner.StopGrace = time;
        }

        if (!_run.IsCompleted)
        {
            await _stop.CancelAsync().ConfigureAwait(false);
        }

        return await WaitForExitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Waits until the VM has ended for good: its guest powered off or panicked, or it was stopped.</summary>
    /// <param name="cancellationToken">Ends the wait; the VM goes on.</param>
    /// <exception cref="KaslrMtException">The guest rebooted and could not be booted anew.</exception>
    public Task<VmExit> WaitForExitAsync(CancellationToken cancellationToken = default) => _run.WaitAsync(cancellationToken);

    /// <summary>Ends the VM at once, if it has not ended. Nothing of it is left afterwards, in the tenant table or on this host.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        if (!_run.IsCompleted)
        {
            _owner.StopGrace = TimeSpan.Zero;
        }

        await _stop.CancelAsync().ConfigureAwait(false);
        await ((Task)_run).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
    }

    // The VM leaves the table, its folder and its name as soon as it has ended, not when its holder lets go of it.
    private async Task<VmExit> RunAsync()
    {
        using LayoutRequest request = _request;
        using VmFolder folder = _folder;
        await using VmRegistration? registration = _registration;
        return await _owner.RunAsync(folder, null, null, _stop.Token).ConfigureAwait(false);
    }

    // The secrets are the request's from the first line on: whatever fails afterwards clears them.
    private static async Task<LocalVm> ClaimAsync(VmHost host, VmSpec spec, VmSecrets secrets, CancellationToken cancellationToken)
    {
        LayoutRequest? request = null;
        VmFolder? folder = null;
        VmRegistration? registration = null;
        try
        {
            spec.Check(secrets);
            request = LayoutRequest.Of(spec, secrets);
            FreePagesSetting.Check(request.Line, spec.FreePages);
            folder = host.Runtime.Claim(spec.Name);
            if (spec.Table is not null)
            {
                registration = await VmRegistration
                    .EnterAsync(host.Tables.Get(spec.Table), spec, request.Policy, outlivesOwner: false, host.Log, cancellationToken).ConfigureAwait(false);
                request.Key = registration.TakeKey();
                RegistrationFile.Of(registration.Vm, spec.Table).WriteTo(folder);
            }

            return new LocalVm(host, spec, request, folder, registration);
        }
        catch
        {
            if (registration is not null)
            {
                await registration.DisposeAsync().ConfigureAwait(false);
            }

            folder?.Dispose();
            request?.Dispose();
            secrets.Dispose();
            throw;
        }
    }
}

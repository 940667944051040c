using KaslrMt.Guests;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Layout;

namespace KaslrMt.Vms;

/// <summary>Runs a VM from its first boot to its end: makes each boot's image, starts QEMU, and starts it anew when the guest reboots.</summary>
/// <param name="request">What the layout is chosen from.</param>
/// <param name="options">What the VM is to be.</param>
/// <param name="log">Where the owner's own lines go: standard error.</param>
internal sealed class VmOwner(LayoutRequest request, RunOptions options, TextWriter log)
{
    private static readonly TimeSpan BootPatience = TimeSpan.FromMinutes(2);

    private readonly Lock _gate = new();
    private OwnedVm? _current;

    /// <summary>Told once, when the VM runs: whether its memory holds the layout, or null where nobody looked or could.</summary>
    public Action<bool?>? Settled { get; init; }

    /// <summary>The VM's place in the tenant table, which is told of its processes; or null.</summary>
    public VmRegistration? Place { get; init; }

    /// <summary>The layout of a VM that came from a file or another host, to be compared with its memory; or null.</summary>
    public IntendedLayout? Arrived { get; init; }

    /// <summary>The VM while its QEMU runs; null between two boots.</summary>
    public OwnedVm? Current => Volatile.Read(ref _current);

    /// <summary>Notes a state of the VM in its folder, unless its QEMU has ended meanwhile: then what is noted is this owner's to say.</summary>
    public void Note(OwnedVm running, VmFolder folder, VmState state)
    {
        lock (_gate)
        {
            if (ReferenceEquals(_current, running))
            {
                folder.WriteState(state);
            }
        }
    }

    /// <summary>Settings under which the VM arrives from a file or another host: loaded, not begun.</summary>
    public MachineDefinition IncomingSettings() => Settings("", boot: 1) with { Kernel = null, Initrd = null, CommandLine = null, AwaitsMigration = true, StartPaused = true };

    /// <summary>Runs the VM.</summary>
    /// <param name="cancellationToken">Cancelled when the VM is to cancellationToken.</param>
    /// <returns>How it ended.</returns>
    public async Task<VmExit> RunAsync(CancellationToken cancellationToken)
    {
        RuntimeDirectory runtime = options.Runtime ?? RuntimeDirectory.Open();
        runtime.Sweep();
        using VmFolder folder = runtime.Claim(options.Name);
        return await RunAsync(runtime, folder, null, null, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Runs the VM in a folder that is claimed or adopted.</summary>
    /// <param name="runtime">Where the folder is.</param>
    /// <param name="folder">The VM's folder.</param>
    /// <param name="adopted">The state of an adopted VM, or null.</param>
    /// <param name="running">An adopted VM that runs; null to boot one. It is ended with this.</param>
    /// <param name="cancellationToken">Cancelled when the VM is to cancellationToken.</param>
    /// <returns>How it ended.</returns>
    public async Task<VmExit> RunAsync(RuntimeDirectory runtime, VmFolder folder, VmState? adopted, IVirtualMachine? running, CancellationToken cancellationToken)
    {
        ImageCache? cache = options.UseCache ? CacheLocation.Open(runtime) : null;
        VmState first = adopted ?? VmState.OwnedByThisProcess(options.Name) with
        {
            Tenant = options.Tenant,
            Kernel = Path.GetFullPath(options.Kernel),
            Memory = request.Memory.Bytes,
            Machine = request.Machine.Argument,
            Accelerator = options.Accelerator.Argument,
            FreePages = options.FreePages,
            Detached = options.Detached,
        };
        for (int boot = first.Reboots; ; boot++)
        {
            VmExit exit;
            if (running is not null)
            {
                await using (running.ConfigureAwait(false))
                {
                    SetCurrent(new OwnedVm(running, first));
                    exit = await WatchAsync(running, Arrived, cancellationToken).ConfigureAwait(false);
                    SetCurrent(null);
                }

                running = null;
            }
            else
            {
                VmState state = first with { Reboots = boot, ProcessId = null, ProcessStartTime = null };
                folder.WriteState(state);
                try
                {
                    exit = await BootAsync(folder, cache, state, boot, cancellationToken).ConfigureAwait(false);
                }
                catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
                {
                    // QEMU was just starting, for the first time or after a reboot.
                    return new VmExit(ShutdownReason.HostSignal, null, null, "");
                }
            }

            bool again = exit.Reason == ShutdownReason.Reboot && !options.UserArguments.RebootEnds && !cancellationToken.IsCancellationRequested;
            if (!again)
            {
                return exit;
            }

            await log.WriteLineAsync($"kaslrmt: {options.Name}: the guest reboots, with new per-VM bases").ConfigureAwait(false);
        }
    }

    private async Task<VmExit> BootAsync(VmFolder folder, ImageCache? cache, VmState state, int boot, CancellationToken cancellationToken)
    {
        IntendedLayout? intended = Prepare(folder, cache, boot);
        string image = intended is null ? options.Kernel : folder.ImagePath;
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(Settings(image, boot), folder, cancellationToken).ConfigureAwait(false);

        if (Place is not null)
        {
            await Place.ReportAsync(vm.ProcessId, intended?.Kernel.Release).ConfigureAwait(false);
        }

        // QEMU has read the image into the guest's memory: the layout need not lie around any longer.
        File.Delete(folder.ImagePath);
        state = state with { ProcessId = vm.ProcessId, ProcessStartTime = vm.ProcessStartTime, Release = intended?.Kernel.Release };
        folder.WriteState(state);
        SetCurrent(new OwnedVm(vm, state));

        if (boot == 0)
        {
            await log.WriteLineAsync(
                $"kaslrmt: {options.Name}: started with {request.Memory}, {request.Machine}, {options.Accelerator.Argument} ({options.Accelerator.Reason})").ConfigureAwait(false);
        }

        try
        {
            return await WatchAsync(vm, intended, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            SetCurrent(null);
        }
    }

    private void SetCurrent(OwnedVm? running)
    {
        lock (_gate)
        {
            _current = running;
        }
    }

    private async Task<VmExit> WatchAsync(IVirtualMachine vm, IntendedLayout? intended, CancellationToken cancellationToken)
    {
        Task<VmExit> ended = vm.WaitForExitAsync(CancellationToken.None);
        Task verified = SettleAsync(vm, intended, ended, cancellationToken);
        try
        {
            await ended.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            await log.WriteLineAsync($"kaslrmt: {options.Name}: stopping").ConfigureAwait(false);
            await vm.StopAsync(options.StopGrace).ConfigureAwait(false);
        }

        await verified.ConfigureAwait(false);
        return await ended.ConfigureAwait(false);
    }

    /// <summary>Makes the image; null when the kernel boots with its own KASLR instead.</summary>
    private IntendedLayout? Prepare(VmFolder folder, ImageCache? cache, int boot)
    {
        try
        {
            BootImage written = BootImages.Write(options.Kernel, cache, facts => Plan(facts, boot), folder.ImagePath, request.Ram.Overwritten, request.Modules);
            using (written.Layout)
            {
                IntendedLayout intended = IntendedLayout.Of(written.Layout, written.Kernel);
                intended.WriteTo(folder);
                return intended;
            }
        }
        catch (KaslrMtException error) when (options.FallBackToStock && error.Category is ErrorCategory.Image or ErrorCategory.Relocation)
        {
            log.WriteLine($"kaslrmt: {error.Code}: {error.Message}");
            log.WriteLine(
                $"kaslrmt: WARNING: {options.Name} boots with its kernel's OWN KASLR (--fallback stock): no per-tenant layout, its kernel pages will not be shared");
            return null;
        }
    }

    private KernelLayout Plan(KernelFacts kernel, int boot)
    {
        FreePagesSetting.Require(options.FreePages, kernel.Release);
        return request.Plan(kernel.Geometry, boot);
    }

    private async Task SettleAsync(IVirtualMachine vm, IntendedLayout? intended, Task ended, CancellationToken cancellationToken)
    {
        if (options.UserArguments.StaysPaused)
        {
            Settled?.Invoke(null);
        }

        bool? verified = intended is null || !options.Verify || options.UserArguments.StaysPaused ? null : await VerifyAsync(vm, intended, ended, cancellationToken).ConfigureAwait(false);
        if (!ended.IsCompleted && !cancellationToken.IsCancellationRequested)
        {
            Settled?.Invoke(verified);
        }
    }

    private async Task<bool?> VerifyAsync(IVirtualMachine vm, IntendedLayout intended, Task ended, CancellationToken cancellationToken)
    {
        try
        {
            LayoutVerification verification = await LayoutVerification
                .RunAsync(intended, vm, BootPatience, cancellationToken).ConfigureAwait(false);
            await log.WriteLineAsync(verification.Matches
                ? $"kaslrmt: {options.Name}: layout verified in the guest's memory"
                : $"kaslrmt: WARNING: {options.Name}: the guest's memory does NOT hold the layout it was given; see 'kaslrmt verify {options.Name}'").ConfigureAwait(false);
            return await KeepsPromiseAsync(verification).ConfigureAwait(false) && verification.Matches;
        }
        catch (KaslrMtException error)
        {
            // A guest that ended, or ends within a moment, takes its memory and monitor along: nothing to say then.
            if (await Task.WhenAny(ended, Task.Delay(TimeSpan.FromSeconds(1), CancellationToken.None)).ConfigureAwait(false) != ended)
            {
                await log.WriteLineAsync($"kaslrmt: WARNING: {options.Name}: layout not verified: {error.Code}: {error.Message}").ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            // The VM is being stopped.
        }

        return null;
    }

    private async Task<bool> KeepsPromiseAsync(LayoutVerification seen)
    {
        RuntimeDirectory runtime = options.Runtime ?? RuntimeDirectory.Open();
        PolicyCheck? promise = options.Tenant is null
            ? null
            : PolicyCheck.Check(options.Tenant, runtime.List(), new Dictionary<string, LayoutVerification> { [options.Name] = seen });
        IReadOnlyList<PolicyViolation> breaches = [.. promise?.Violations.Where(breach => breach.Vms.Contains(options.Name)) ?? []];
        foreach (PolicyViolation breach in breaches)
        {
            await log.WriteLineAsync($"kaslrmt: WARNING: {options.Name}: tenant {options.Tenant}: {PolicyCheck.Describe(breach)}").ConfigureAwait(false);
        }

        return breaches.Count == 0;
    }

    private MachineDefinition Settings(string image, int boot) => new()
    {
        Kernel = image,
        Machine = request.Machine,
        Memory = request.Memory,
        Accelerator = options.Accelerator,
        Cpus = options.Cpus,
        Initrd = options.Initrd,
        CommandLine = FreePagesSetting.Complete(request.Line, options.FreePages),
        Console = boot == 0 ? options.Console : options.Console.Continued(),
        UserArguments = options.UserArguments,
        OutlivesOwner = options.Detached,
        Program = options.Program,
    };

    /// <summary>A QEMU of this owner's, and what its folder says.</summary>
    internal sealed record OwnedVm(IVirtualMachine Vm, VmState State);
}

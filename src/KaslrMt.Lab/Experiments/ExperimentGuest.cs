using System.Diagnostics;
using System.Globalization;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;
using KaslrMt.Layout;
using KaslrMt.Sharing;
using KaslrMt.Vms;
using Microsoft.Extensions.Logging.Abstractions;

namespace KaslrMt.Lab.Experiments;

/// <summary>One guest of an experiment, booted until it has settled. It runs on until disposed; it ends with this process whatever happens.</summary>
internal sealed class ExperimentGuest : IAsyncDisposable
{
    private static readonly TimeSpan ExitPatience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(20);

    private readonly VmFolder _folder;
    private readonly VmSpec _spec;
    private IGuestMemory? _memory;

    private ExperimentGuest(VmFolder folder, VmSpec spec, StartedVm started)
    {
        _folder = folder;
        _spec = spec;
        Started = started;
    }

    /// <summary>Gets the guest's name among this host's VMs.</summary>
    public string Name => _folder.Name;

    /// <summary>Gets the running VM.</summary>
    public IVirtualMachine Machine => Started.Vm;

    /// <summary>Gets the hypervisor's process.</summary>
    public int ProcessId => Machine.ProcessId;

    /// <summary>Gets how the VM was started.</summary>
    public StartedVm Started { get; }

    /// <summary>Gets the time from the start of the hypervisor until the guest had settled.</summary>
    public TimeSpan BootTime { get; private set; }

    /// <summary>Boots a guest and waits until it says that it has settled.</summary>
    /// <param name="recipe">What it is made of.</param>
    /// <param name="layout">Where its layout comes from. What is the VM's own is drawn anew for each.</param>
    /// <param name="label">Tells it from the others of this process: letters, digits, dashes.</param>
    /// <param name="host">What it runs on.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="KaslrMtException">KMT6026 when it hangs or ends; errors of the image and of the hypervisor. Nothing of it is left then.</exception>
    public static async Task<ExperimentGuest> BootAsync(GuestRecipe recipe, GuestLayout layout, string label, ExperimentHost host, CancellationToken cancellationToken)
    {
        ExperimentGuest guest = await StartAsync(recipe, layout, string.Create(CultureInfo.InvariantCulture, $"experiment-{Environment.ProcessId}-{label}"), host, cancellationToken).ConfigureAwait(false);
        try
        {
            var clock = Stopwatch.StartNew();
            await guest.HearAsync(text => text.Contains(GuestRecipe.ReadyMark, StringComparison.Ordinal) ? text : null, host.BootLimit, cancellationToken).ConfigureAwait(false);
            guest.BootTime = clock.Elapsed;
            return guest;
        }
        catch
        {
            await guest.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Starts a guest the way every VM is started; it has yet to boot.</summary>
    /// <param name="recipe">What it is made of.</param>
    /// <param name="layout">Where its layout comes from.</param>
    /// <param name="name">The VM's name.</param>
    /// <param name="host">What it runs on.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="KaslrMtException">Errors of the image and of the hypervisor. Nothing of it is left then.</exception>
    public static async Task<ExperimentGuest> StartAsync(GuestRecipe recipe, GuestLayout layout, string name, ExperimentHost host, CancellationToken cancellationToken)
    {
        VmFolder folder = host.Runtime.Claim(name);
        try
        {
            VmSpec spec = recipe.ToSpec(layout, folder, host.Accelerator);
            VmState state = spec.FirstState(detached: false);
            folder.WriteState(state);
            using LayoutRequest request = LayoutRequest.Of(spec, new VmSecrets(layout.Key is null ? null : TenantKey.Parse(layout.Key.Reveal()), null));
            StartedVm started = await new BootPipeline(spec, request, NullLogger.Instance, host.Kernels).StartAsync(folder, 0, outlivesOwner: false, launched: null, cancellationToken).ConfigureAwait(false);
            folder.WriteState(state with { ProcessId = started.Vm.ProcessId, ProcessStartTime = started.Vm.ProcessStartTime, Release = started.Layout?.Kernel.Release });
            return new ExperimentGuest(folder, spec, started);
        }
        catch
        {
            folder.Dispose();
            throw;
        }
    }

    /// <summary>Waits until the guest has printed what is wanted.</summary>
    /// <param name="read">Finds it in the text of the console; null where the text does not hold it yet.</param>
    /// <param name="limit">How long the guest may take.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="KaslrMtException">KMT6026 when the guest hangs or ends.</exception>
    public async Task<T> HearAsync<T>(Func<string, T?> read, TimeSpan limit, CancellationToken cancellationToken)
        where T : class
    {
        Task<VmExit> ended = Machine.WaitForExitAsync(cancellationToken);
        for (long start = Environment.TickCount64; Environment.TickCount64 - start < limit.TotalMilliseconds;)
        {
            if (File.Exists(_spec.Console) && read(await File.ReadAllTextAsync(_spec.Console, cancellationToken).ConfigureAwait(false)) is { } found)
            {
                return found;
            }

            if (await Task.WhenAny(ended, Task.Delay(Interval, cancellationToken)).ConfigureAwait(false) == ended)
            {
                VmExit exit = await ended.ConfigureAwait(false);
                throw new KaslrMtException(SharingErrors.ExperimentBootFailed, $"{Name} ended while it booted ({exit.Reason}) {Printable.Of(exit.LastWords)}{LastLine()}");
            }

            cancellationToken.ThrowIfCancellationRequested();
        }

        throw new KaslrMtException(
            SharingErrors.ExperimentBootFailed,
            string.Create(CultureInfo.InvariantCulture, $"{Name} did not settle within {limit.TotalSeconds:0} s{LastLine()}"),
            "raise --boot-limit if the machine is slow");
    }

    /// <summary>Stops its processors; its memory stands still from then on.</summary>
    /// <exception cref="KaslrMtException">KMT6026 when it has ended meanwhile; errors of the monitor.</exception>
    public async Task PauseAsync(CancellationToken cancellationToken)
    {
        try
        {
            await Machine.PauseAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (KaslrMtException error) when (error.Code == HypervisorErrors.MonitorClosed)
        {
            // Its QEMU has ended, or is about to; if neither, the monitor's own error is what there is to say.
            Task<VmExit> ended = Machine.WaitForExitAsync(cancellationToken);
            if (await Task.WhenAny(ended, Task.Delay(ExitPatience, cancellationToken)).ConfigureAwait(false) != ended)
            {
                throw;
            }

            VmExit exit = await ended.ConfigureAwait(false);
            throw new KaslrMtException(
                SharingErrors.ExperimentBootFailed,
                $"{Name} had booted, and ended before it could be read ({exit.Reason}) {Printable.Of(exit.LastWords)}",
                "if the host ran out of memory, take fewer or smaller guests; what was measured before is kept",
                error);
        }
    }

    /// <summary>Lets it go on.</summary>
    /// <exception cref="KaslrMtException">Errors of the monitor.</exception>
    public Task ContinueAsync(CancellationToken cancellationToken) => Machine.ContinueAsync(cancellationToken);

    /// <summary>Finds its kernel; the memory stays open as long as the guest.</summary>
    /// <exception cref="KaslrMtException">KMT50xx; errors of the monitor.</exception>
    public async Task<GuestKernel> OpenKernelAsync(CancellationToken cancellationToken)
    {
        _memory ??= await Machine.OpenMemoryAsync(cancellationToken).ConfigureAwait(false);
        KernelHints hints = await Machine.ReadHintsAsync(cancellationToken).ConfigureAwait(false);
        return await Task.Run(() => GuestKernel.Find(_memory, hints), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Ends it, and removes all that is left of it.</summary>
    public async ValueTask DisposeAsync()
    {
        _memory?.Dispose();
        await Machine.DisposeAsync().ConfigureAwait(false);
        _folder.Dispose();
    }

    private string LastLine() =>
        File.Exists(_spec.Console) && File.ReadLines(_spec.Console).LastOrDefault(line => line.Trim().Length > 0) is { } last ? $"; its console ends with: {Printable.Of(last.Trim(), 200)}" : "";
}

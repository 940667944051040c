using System.Diagnostics;
using System.Globalization;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Layout;
using KaslrMt.Sharing;

namespace KaslrMt.Lab.Experiments;

/// <summary>One guest of an experiment, booted until it has settled. It runs on until disposed; it ends with this process whatever happens.</summary>
internal sealed class ExperimentGuest : IAsyncDisposable
{
    private static readonly TimeSpan ExitPatience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(50);

    private readonly VmFolder _folder;
    private readonly IVirtualMachine _machine;
    private IGuestMemory? _memory;

    private ExperimentGuest(VmFolder folder, IVirtualMachine machine, TimeSpan bootTime)
    {
        _folder = folder;
        _machine = machine;
        BootTime = bootTime;
    }

    /// <summary>Its name among this host's VMs.</summary>
    public string Name => _folder.Name;

    /// <summary>Its QEMU.</summary>
    public int ProcessId => _machine.ProcessId;

    /// <summary>From the start of QEMU until the guest had settled.</summary>
    public TimeSpan BootTime { get; }

    /// <summary>Boots a guest and waits until it says that it has settled.</summary>
    /// <param name="recipe">What it is made of.</param>
    /// <param name="layout">Where its layout comes from. What is the VM's own is drawn anew for each.</param>
    /// <param name="label">Tells it from the others of this process: letters, digits, dashes.</param>
    /// <param name="host">What it runs on.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="KaslrMtException">KMT6026 when it hangs or ends; errors of the image and of QEMU. Nothing of it is left then.</exception>
    public static async Task<ExperimentGuest> BootAsync(GuestRecipe recipe, GuestLayout layout, string label, ExperimentHost host, CancellationToken cancellationToken)
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"experiment-{Environment.ProcessId}-{label}");
        VmFolder folder = host.Runtime.Claim(name);
        IVirtualMachine? machine = null;
        try
        {
            VmState state = VmState.OwnedByThisProcess(name) with
            {
                Kernel = recipe.Kernel,
                Memory = recipe.Memory.Bytes,
                Machine = recipe.Machine.Argument,
                Accelerator = host.Accelerator.Argument,
            };
            folder.WriteState(state);
            string kernel = layout.Mode == ExperimentMode.KaslrMt ? WriteImage(recipe, layout, folder, host.Cache) : recipe.Kernel;
            string console = Path.Combine(folder.Path, "console");
            var clock = Stopwatch.StartNew();
            machine = await Hypervisor.Default.StartAsync(Settings(recipe, layout, kernel, console, host.Accelerator), folder, cancellationToken).ConfigureAwait(false);

            // The layout need not lie around any longer.
            File.Delete(folder.ImagePath);
            folder.WriteState(state with { ProcessId = machine.ProcessId, ProcessStartTime = machine.ProcessStartTime });
            await SettleAsync(name, machine, console, host.BootLimit, cancellationToken).ConfigureAwait(false);
            return new ExperimentGuest(folder, machine, clock.Elapsed);
        }
        catch
        {
            if (machine is not null)
            {
                await machine.DisposeAsync().ConfigureAwait(false);
            }

            folder.Dispose();
            throw;
        }
    }

    /// <summary>Stops its processors; its memory stands still from then on.</summary>
    /// <exception cref="KaslrMtException">KMT6026 when it has ended meanwhile; errors of the monitor.</exception>
    public async Task PauseAsync(CancellationToken cancellationToken)
    {
        try
        {
            await _machine.PauseAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (KaslrMtException error) when (error.Code == HypervisorErrors.MonitorClosed)
        {
            // Its QEMU has ended, or is about to; if neither, the monitor's own error is what there is to say.
            Task<VmExit> ended = _machine.WaitForExitAsync(cancellationToken);
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
    public Task ContinueAsync(CancellationToken cancellationToken) => _machine.ContinueAsync(cancellationToken);

    /// <summary>Finds its kernel; the memory stays open as long as the guest.</summary>
    /// <exception cref="KaslrMtException">KMT50xx; errors of the monitor.</exception>
    public async Task<GuestKernel> OpenKernelAsync(CancellationToken cancellationToken)
    {
        _memory ??= await _machine.OpenMemoryAsync(cancellationToken).ConfigureAwait(false);
        KernelHints hints = await _machine.ReadHintsAsync(cancellationToken).ConfigureAwait(false);
        return await Task.Run(() => GuestKernel.Find(_memory, hints), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Ends it, and removes all that is left of it.</summary>
    public async ValueTask DisposeAsync()
    {
        _memory?.Dispose();
        await _machine.DisposeAsync().ConfigureAwait(false);
        _folder.Dispose();
    }

    private static string WriteImage(GuestRecipe recipe, GuestLayout layout, VmFolder folder, ImageCache cache)
    {
        GuestRam ram = recipe.Machine.PlaceMemory(recipe.Memory, (ulong)new FileInfo(recipe.Initrd).Length);
        var map = new GuestMemoryMap(ram.Ranges, ram.Taken);
        using VmSeed seed = VmSeed.Generate();
        BootImages.Write(
            recipe.Kernel,
            cache,
            facts => LayoutPlanner.Plan(facts.Geometry, map, layout.Policy, layout.Key, seed, AddressProducers.Default),
            folder.ImagePath,
            ram.Overwritten,
            recipe.Modules).Layout.Dispose();
        return folder.ImagePath;
    }

    private static MachineDefinition Settings(GuestRecipe recipe, GuestLayout layout, string kernel, string console, AcceleratorChoice accelerator) => new()
    {
        Kernel = kernel,
        Machine = recipe.Machine,
        Memory = recipe.Memory,
        Cpus = recipe.Cpus,
        Accelerator = accelerator,
        TranslatedCode = HostCapacity.TranslatedCode,
        Initrd = recipe.Initrd,
        CommandLine = layout.Mode == ExperimentMode.Off ? $"{recipe.CommandLine} nokaslr" : recipe.CommandLine,
        Console = SerialConsole.ToFile(console),
        UserArguments = recipe.Devices,
    };

    private static async Task SettleAsync(string name, IVirtualMachine machine, string console, TimeSpan limit, CancellationToken cancellationToken)
    {
        Task<VmExit> ended = machine.WaitForExitAsync(cancellationToken);
        for (long start = Environment.TickCount64; Environment.TickCount64 - start < limit.TotalMilliseconds;)
        {
            if (File.Exists(console) && (await File.ReadAllTextAsync(console, cancellationToken).ConfigureAwait(false)).Contains(GuestRecipe.ReadyMark, StringComparison.Ordinal))
            {
                return;
            }

            if (await Task.WhenAny(ended, Task.Delay(Interval, cancellationToken)).ConfigureAwait(false) == ended)
            {
                VmExit exit = await ended.ConfigureAwait(false);
                throw new KaslrMtException(SharingErrors.ExperimentBootFailed, $"{name} ended while it booted ({exit.Reason}) {Printable.Of(exit.LastWords)}{LastLine(console)}");
            }

            cancellationToken.ThrowIfCancellationRequested();
        }

        throw new KaslrMtException(
            SharingErrors.ExperimentBootFailed,
            string.Create(CultureInfo.InvariantCulture, $"{name} did not settle within {limit.TotalSeconds:0} s{LastLine(console)}"),
            "raise --boot-limit if the machine is slow");
    }

    private static string LastLine(string console) =>
        File.Exists(console) && File.ReadLines(console).LastOrDefault(line => line.Trim().Length > 0) is { } last ? $"; its console ends with: {Printable.Of(last.Trim(), 200)}" : "";
}

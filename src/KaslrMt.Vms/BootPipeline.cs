using System.Diagnostics;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Layout;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Vms;

/// <summary>
/// How a VM boots, whoever boots it: specification, key, kernel, memory map, layout, placed, verified. <c>run</c>, the agent, the demonstration and the experiments use this one way.
/// </summary>
/// <param name="spec">The VM.</param>
/// <param name="request">What its layouts are chosen from.</param>
/// <param name="log">Takes a fallback to the kernel's own KASLR.</param>
/// <param name="kernels">Prepared kernels.</param>
/// <param name="user">The rights that the VM's files are opened with and its hypervisor runs with; null for this process's own.</param>
/// <param name="usesScopes">Whether the hypervisor is put into a systemd scope of its own.</param>
internal sealed class BootPipeline(VmSpec spec, LayoutRequest request, ILogger log, PreparedKernels kernels, ProcessUser? user = null, bool usesScopes = false)
{
    // SeaBIOS is there within a second; a host that is out of breath takes longer.
    private static readonly TimeSpan FirmwarePatience = TimeSpan.FromMinutes(2);

    private const int Attempts = 3;

    /// <summary>Starts the VM's hypervisor, and puts a kernel with this boot's layout into the guest.</summary>
    /// <param name="folder">The VM's folder; it keeps the layout for later verification.</param>
    /// <param name="boot">How often the VM booted before.</param>
    /// <param name="outlivesOwner">Whether the hypervisor goes on when this process dies.</param>
    /// <param name="launched">Told of the hypervisor before its guest gets a kernel: whoever takes the VM over must find the process. Null for nobody.</param>
    /// <param name="cancellationToken">Gives up; nothing is left then.</param>
    /// <exception cref="KaslrMtException">Errors of the kernel, the layout and the hypervisor.</exception>
    public async Task<StartedVm> StartAsync(VmFolder folder, int boot, bool outlivesOwner, Action<IVirtualMachine>? launched, CancellationToken cancellationToken)
    {
        CallerRights.Run(user, CheckFiles);
        var clock = Stopwatch.StartNew();

        // Before anything is started: a kernel that cannot be given a layout is said at once.
        bool? prepared = spec.Stock ? null : await PrepareAsync(folder, cancellationToken).ConfigureAwait(false);
        TimeSpan placing = clock.Elapsed;
        CrashPoint.Reached("start-placed");
        IVirtualMachine vm = await Hypervisor.Default.StartAsync(Define(folder, boot, outlivesOwner, hasGate: prepared is not null), folder, cancellationToken).ConfigureAwait(false);
        try
        {
            launched?.Invoke(vm);
            if (prepared is null || spec.UserArguments.StaysPaused)
            {
                return new StartedVm(vm, null, false, placing);
            }

            for (int left = Attempts; ; left--)
            {
                try
                {
                    using VmGate gate = await vm.WaitForGateAsync(FirmwarePatience, cancellationToken).ConfigureAwait(false);
                    clock.Restart();
                    IntendedLayout intended = await FeedAsync(gate, folder, boot, cancellationToken).ConfigureAwait(false);
                    return new StartedVm(vm, intended, prepared.Value, placing + clock.Elapsed);
                }
                catch (KaslrMtException reset) when (reset.Code == HypervisorErrors.GateWords && left > 1)
                {
                    // It was reset between the look at its gate and the look at its words: it comes to the gate again.
                }
            }
        }
        catch
        {
            await vm.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Puts a kernel with a layout of its own into a guest that waits at its gate, and lets the guest go on.</summary>
    /// <param name="gate">The gate.</param>
    /// <param name="folder">The VM's folder; it keeps the layout for later verification.</param>
    /// <param name="boot">How often the VM booted before.</param>
    /// <param name="cancellationToken">Gives up; the guest waits then.</param>
    /// <exception cref="KaslrMtException">Errors of the kernel, the initrd, the layout and the guest's memory. The guest still waits then.</exception>
    public Task<IntendedLayout> FeedAsync(VmGate gate, VmFolder folder, int boot, CancellationToken cancellationToken) => kernels.UseAsync(
        spec.Kernel,
        user,
        used =>
        {
            FirmwareWords words = gate.ReadWords();
            using SafeFileHandle? initrd = spec.Initrd is null ? null : CallerRights.Run(user, () => InitrdFile.Open(spec.Initrd));
            (GuestMemoryMap memory, PhysicalRange? range) = Memory(words, initrd is null ? 0 : (ulong)RandomAccess.GetLength(initrd));
            using KernelLayout layout = Plan(used.Kernel.Facts, memory, boot);
            IntendedLayout intended = IntendedLayout.Of(layout, used.Kernel.Facts);

            // First: whoever takes this VM over finds the layout that the guest has, or one that no guest has yet.
            intended.WriteTo(folder);
            gate.Open(used.Kernel, layout, request.Modules, CommandLine, initrd, range, words);
            return intended;
        },
        cancellationToken);

    /// <summary>Gets the definition under which the VM arrives from a file or another host: loaded, not begun.</summary>
    public MachineDefinition DefineIncoming(VmFolder folder) =>
        Define(folder, boot: 1, outlivesOwner: true, hasGate: !spec.Stock) with { Kernel = null, Initrd = null, CommandLine = null, AwaitsMigration = true, StartPaused = true };

    // A machine type's expected memory is taken where firmware confirms it: then a seed gives the bases that "layout" shows and an image has. Firmware's word decides.
    private (GuestMemoryMap Map, PhysicalRange? Initrd) Memory(FirmwareWords words, ulong initrdSize)
    {
        GuestRam expected = request.Machine.PlaceMemory(request.Memory, initrdSize);
        GuestMemoryMap map = new(expected.Ranges, expected.Taken);
        if (words.Confirm(map, expected.Initrd))
        {
            return (map, expected.Initrd);
        }

        PhysicalRange? initrd = initrdSize == 0 ? null : words.PlaceInitrd(initrdSize);
        return (words.ToMemoryMap(initrd), initrd);
    }

    private string CommandLine => request.Machine.CompleteCommandLine(FreePagesSetting.Complete(request.Line, spec.FreePages), spec.AcceleratorChoice);

    private MachineDefinition Define(VmFolder folder, int boot, bool outlivesOwner, bool hasGate)
    {
        SerialConsole console = spec.ConsoleIn(folder);
        return new()
        {
            Kernel = hasGate ? null : spec.Kernel,
            HasGate = hasGate,
            Machine = request.Machine,
            Memory = request.Memory,
            Accelerator = spec.AcceleratorChoice,
            TranslatedCode = spec.TranslatedCode is ulong bytes ? new ByteSize(bytes) : null,
            Cpus = spec.Cpus,
            Initrd = hasGate ? null : spec.Initrd,
            CommandLine = hasGate ? null : FreePagesSetting.Complete(request.Line, spec.FreePages),
            Console = boot == 0 ? console : console.Continued(),
            UserArguments = spec.UserArguments,
            OutlivesOwner = outlivesOwner,
            Program = spec.Program,
            WorkingDirectory = spec.WorkingDirectory,
            RunAs = user,

            // A name for each boot: systemd may still hold the scope of the QEMU that ended just before.
            Scope = usesScopes && outlivesOwner ? $"kaslrmt-vm-{spec.Name}-{Environment.TickCount64:x}.scope" : null,
        };
    }

    // With the rights that they are used with: said here in one line, and before anything is started.
    private bool CheckFiles()
    {
        using SafeFileHandle kernel = KernelHandle.Open(spec.Kernel);
        return spec.Initrd is null || InitrdFile.SizeOf(spec.Initrd) > 0;
    }

    // Whether the kernel was found prepared; null where it boots with its own KASLR, for it can be given no layout.
    private async Task<bool?> PrepareAsync(VmFolder folder, CancellationToken cancellationToken)
    {
        try
        {
            return await kernels.UseAsync(
                spec.Kernel,
                user,
                used =>
                {
                    // With the memory that the machine type is known to give: what cannot be is said before anything is started.
                    if (request.Earlier is null)
                    {
                        GuestRam ram = CallerRights.Run(user, () => request.Ram);
                        using KernelLayout layout = Plan(used.Kernel.Facts, new GuestMemoryMap(ram.Ranges, ram.Taken), boot: 0);

                        // Whoever takes the VM over before its guest got a kernel has no key, and finds here what the key gives.
                        IntendedLayout.Of(layout, used.Kernel.Facts).WriteTo(folder);
                    }

                    return used.WasPrepared;
                },
                cancellationToken).ConfigureAwait(false);
        }
        catch (KaslrMtException error) when (spec.FallBackToStock && error.Category is ErrorCategory.Image or ErrorCategory.Relocation)
        {
            log.Problem(error.Code, error.Message);
            log.FallsBackToStock(spec.Name);
            return null;
        }
    }

    private KernelLayout Plan(KernelFacts kernel, GuestMemoryMap memory, int boot)
    {
        FreePagesSetting.Require(spec.FreePages, kernel.Release);
        if (request.Modules == ModuleAddresses.ByName && kernel.ModuleNames is null)
        {
            throw new KaslrMtException(KernelErrors.ModuleNames, kernel.ModuleNamesProblem ?? "this kernel cannot be made to place modules by name", "use a kernel from 5.10 to 7.3, or place modules by order");
        }

        return request.Plan(kernel.Geometry, memory, boot);
    }
}

/// <summary>A VM that was just started.</summary>
/// <param name="Vm">The running VM.</param>
/// <param name="Layout">Its layout; null where the kernel boots with its own KASLR.</param>
/// <param name="WasPrepared">Whether the kernel was found prepared.</param>
/// <param name="Placing">How long it took to place the kernel, before the hypervisor was started.</param>
internal sealed record StartedVm(IVirtualMachine Vm, IntendedLayout? Layout, bool WasPrepared, TimeSpan Placing);

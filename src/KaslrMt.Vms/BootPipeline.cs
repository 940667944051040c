using System.Diagnostics;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Layout;
using KaslrMt.Vms.Workers;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Vms;

/// <summary>
/// How a VM boots, whoever boots it: specification, key, kernel, memory map, layout, placed, verified. <c>run</c>, the agent, the demonstration and the experiments use this one way.
/// </summary>
/// <param name="spec">The VM.</param>
/// <param name="request">What its layouts are chosen from.</param>
/// <param name="log">Takes a fallback to the kernel's own KASLR.</param>
/// <param name="host">What all VMs of this process share; null where nothing of it is used.</param>
/// <param name="user">The rights that the VM's files are opened with and its hypervisor runs with; null for this process's own.</param>
internal sealed class BootPipeline(VmSpec spec, LayoutRequest request, ILogger log, VmHost? host = null, ProcessUser? user = null)
{
    /// <summary>Starts the VM's hypervisor with a kernel that has this boot's layout.</summary>
    /// <param name="folder">The VM's folder; it keeps the layout for later verification.</param>
    /// <param name="cache">Prepared kernels, or null.</param>
    /// <param name="boot">How often the VM booted before.</param>
    /// <param name="outlivesOwner">Whether the hypervisor goes on when this process dies.</param>
    /// <param name="cancellationToken">Gives up; nothing is left then.</param>
    /// <exception cref="KaslrMtException">Errors of the image, the layout and the hypervisor.</exception>
    public async Task<StartedVm> StartAsync(
        VmFolder folder, ImageCache? cache, int boot, bool outlivesOwner, CancellationToken cancellationToken)
    {
        if (spec.Stock && user is not null)
        {
            CallerRights.Run(user, CheckFiles);
        }

        var clock = Stopwatch.StartNew();
        (IntendedLayout? intended, bool prepared) = spec.Stock ? (null, false) : Place(folder, cache, boot);
        TimeSpan placing = clock.Elapsed;
        CrashPoint.Reached("start-placed");
        try
        {
            string kernel = intended is null ? spec.Kernel : folder.ImagePath;
            IVirtualMachine vm = await Hypervisor.Default.StartAsync(Define(folder, kernel, boot, outlivesOwner), folder, cancellationToken).ConfigureAwait(false);
            return new StartedVm(vm, intended, prepared, placing);
        }
        finally
        {
            // The hypervisor has read the image into the guest's memory: the layout need not lie around any longer.
            if (Directory.Exists(folder.Path))
            {
                File.Delete(folder.ImagePath);
            }
        }
    }

    /// <summary>Gets the definition under which the VM arrives from a file or another host: loaded, not begun.</summary>
    public MachineDefinition DefineIncoming(VmFolder folder) =>
        Define(folder, "", boot: 1, outlivesOwner: true) with { Kernel = null, Initrd = null, CommandLine = null, AwaitsMigration = true, StartPaused = true };

    private MachineDefinition Define(VmFolder folder, string kernel, int boot, bool outlivesOwner)
    {
        SerialConsole console = spec.ConsoleIn(folder);
        return new()
        {
            Kernel = kernel,
            Machine = request.Machine,
            Memory = request.Memory,
            Accelerator = spec.AcceleratorChoice,
            TranslatedCode = spec.TranslatedCode is ulong bytes ? new ByteSize(bytes) : null,
            Cpus = spec.Cpus,
            Initrd = spec.Initrd,
            CommandLine = FreePagesSetting.Complete(request.Line, spec.FreePages),
            Console = boot == 0 ? console : console.Continued(),
            UserArguments = spec.UserArguments,
            OutlivesOwner = outlivesOwner,
            Program = spec.Program,
            WorkingDirectory = spec.WorkingDirectory,
            RunAs = user,

            // A name for each boot: systemd may still hold the scope of the QEMU that ended just before.
            Scope = host is { UsesScopes: true } && outlivesOwner ? $"kaslrmt-vm-{spec.Name}-{Environment.TickCount64:x}.scope" : null,
        };
    }

    // What QEMU opens itself, with the same rights: said here in one line, and before anything is started.
    private bool CheckFiles()
    {
        using SafeFileHandle kernel = KernelHandle.Open(spec.Kernel);
        return spec.Initrd is null || InitrdFile.SizeOf(spec.Initrd) > 0;
    }

    private (IntendedLayout? Layout, bool WasPrepared) Place(VmFolder folder, ImageCache? cache, int boot)
    {
        try
        {
            GuestRam ram = CallerRights.Run(user, () => request.Ram);
            using SafeFileHandle? kernel = user is null ? null : CallerRights.Run(user, () => KernelHandle.Open(spec.Kernel));

            // By its descriptor: the path may lead elsewhere by now.
            BootImage written = BootImages.Write(
                kernel is null ? spec.Kernel : KernelHandle.PathOf(kernel), cache, facts => Plan(facts, boot), folder.ImagePath, ram.Overwritten, request.Modules, Understand);
            using (written.Layout)
            {
                IntendedLayout intended = IntendedLayout.Of(written.Layout, written.Kernel);
                intended.WriteTo(folder);
                return (intended, written.FromCache);
            }
        }
        catch (KaslrMtException error) when (spec.FallBackToStock && error.Category is ErrorCategory.Image or ErrorCategory.Relocation)
        {
            log.Problem(error.Code, error.Message);
            log.FallsBackToStock(spec.Name);
            return (null, false);
        }
    }

    private PreparedKernel Understand(string path)
    {
        if (host?.Worker is not { } worker)
        {
            return PreparedKernel.Open(path);
        }

        using SafeFileHandle kernel = KernelHandle.Open(path);
        try
        {
            return KernelWorkerProcess.PrepareAsync(kernel, worker, CancellationToken.None).GetAwaiter().GetResult();
        }
        catch (KaslrMtException problem) when (problem.Code.Number / 1000 == 2)
        {
            throw new KaslrMtException(problem.Code, $"{Printable.Of(spec.Kernel)}: {problem.Message}", inner: problem);
        }
    }

    private KernelLayout Plan(KernelFacts kernel, int boot)
    {
        FreePagesSetting.Require(spec.FreePages, kernel.Release);
        return request.Plan(kernel.Geometry, boot);
    }
}

/// <summary>A VM that was just started.</summary>
/// <param name="Vm">The running VM.</param>
/// <param name="Layout">Its layout; null where the kernel boots with its own KASLR.</param>
/// <param name="WasPrepared">Whether the kernel was found prepared.</param>
/// <param name="Placing">How long it took to place the kernel, before the hypervisor was started.</param>
internal sealed record StartedVm(IVirtualMachine Vm, IntendedLayout? Layout, bool WasPrepared, TimeSpan Placing);

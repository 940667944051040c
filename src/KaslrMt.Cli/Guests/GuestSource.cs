using System.Globalization;
using KaslrMt.Cli.Vms;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Guests;

/// <summary>A guest opened for looking into: its memory and its kernel.</summary>
internal sealed class GuestSource : IAsyncDisposable
{
    private readonly IGuestInspection? _running;
    private readonly KernelHints _hints;
    private GuestKernel? _kernel;

    private GuestSource(string label, IGuestMemory memory, KernelHints hints, IGuestInspection? running, RunningVm? vm)
    {
        Label = label;
        Memory = memory;
        _hints = hints;
        _running = running;
        Vm = vm;
    }

    /// <summary>What a person calls it.</summary>
    public string Label { get; }

    /// <summary>Its RAM.</summary>
    public IGuestMemory Memory { get; }

    /// <summary>The VM, when it is one of ours.</summary>
    public RunningVm? Vm { get; }

    /// <summary>Bytes of RAM that a file should hold and does not: what is found is partial then.</summary>
    public ulong Missing => (Memory as MemoryFile)?.Missing ?? 0;

    /// <summary>Its kernel, found when it is first asked for.</summary>
    /// <exception cref="KaslrMtException">KMT5011 when there is none; errors of the memory.</exception>
    public GuestKernel Kernel => FindKernel(null);

    /// <summary>Its kernel, which must be that of an image.</summary>
    /// <param name="image">The image; null for any kernel.</param>
    /// <exception cref="KaslrMtException">KMT5011 when there is none, KMT5014 when it is another; errors of the memory.</exception>
    public GuestKernel FindKernel(KernelIdentity? image) => _kernel ??= GuestKernel.Find(Memory, _hints with { Image = image });

    /// <summary>Opens it.</summary>
    /// <param name="reference">Which.</param>
    /// <param name="error">Takes the warning that a file is cut short.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="KaslrMtException">KMT9006 when no VM of that name runs; KMT9017 when it has no QEMU yet; errors of the source.</exception>
    public static async Task<GuestSource> OpenAsync(GuestReference reference, TextWriter error, CancellationToken cancellationToken)
    {
        string label = reference.ToString();
        if (reference.Ram is not null || reference.Core is not null)
        {
            MemoryFile memory = OpenFile(reference);
            if (memory.Missing > 0)
            {
                await error.WriteLineAsync(string.Create(
                    CultureInfo.InvariantCulture, $"kaslrmt: {label} is cut short: {new ByteSize(memory.Missing)} of the guest's RAM are missing")).ConfigureAwait(false);
            }

            return new GuestSource(label, memory, memory.Hints, null, null);
        }

        RunningVm? vm = reference.Name is { } name ? await RunningVms.FindAsync(name, error).ConfigureAwait(false) : null;
        int process = reference.Process ?? vm?.State?.ProcessId
            ?? throw new KaslrMtException(VmErrors.NotStarted, $"'{label}' is starting: it has no memory yet", "try again in a moment");
        Action? interrupted = reference.Pause ? () => Environment.Exit(ExitCode.Interrupted) : null;
        IGuestInspection guest = vm is not null
            ? await Hypervisor.Default.InspectAsync(vm, interrupted, cancellationToken).ConfigureAwait(false)
            : await Hypervisor.Default.OpenForeignAsync(process, reference.Monitor, interrupted, cancellationToken).ConfigureAwait(false);
        return new GuestSource(label, guest.Memory, guest.Hints, guest, vm);
    }

    /// <summary>Lets go of the guest, which goes on.</summary>
    public async ValueTask DisposeAsync()
    {
        Memory.Dispose();
        if (_running is not null)
        {
            await _running.DisposeAsync().ConfigureAwait(false);
        }
    }

    private static MemoryFile OpenFile(GuestReference reference)
    {
        if (reference.Core is { } core)
        {
            return CoreFile.Open(core);
        }

        IMachineModel? machine = reference.Machine is { } type ? Hypervisor.Default.Machine(type) : null;
        return RawMemoryFile.Open(reference.Ram!, size => machine?.Place(size) ?? [new PhysicalRange(new PhysicalAddress(0), size)]);
    }
}

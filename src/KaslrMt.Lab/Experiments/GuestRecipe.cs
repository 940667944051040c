using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Vms;

namespace KaslrMt.Lab.Experiments;

/// <summary>What an experiment's guests are made of: the same for all of them.</summary>
internal sealed record GuestRecipe
{
    /// <summary>What a guest prints on its console once it has settled.</summary>
    public const string ReadyMark = "kmt ready";

    /// <summary>The kind's name: <c>minimal</c> or <c>debian</c>.</summary>
    public required string Name { get; init; }

    /// <summary>The kernel: a bzImage.</summary>
    public required string Kernel { get; init; }

    /// <summary>The initrd.</summary>
    public required string Initrd { get; init; }

    /// <summary>A raw disk image that all guests read and none writes; or null.</summary>
    public string? Disk { get; init; }

    /// <summary>The command line, without what the layout's mode adds.</summary>
    public required string CommandLine { get; init; }

    /// <summary>RAM.</summary>
    public required ByteSize Memory { get; init; }

    /// <summary>Virtual CPUs.</summary>
    public int Cpus { get; init; } = 1;

    /// <summary>The machine type.</summary>
    public IMachineModel Machine { get; init; } = Hypervisor.Default.Machine("q35");

    /// <summary>How the kernel places modules, where the layout is ours.</summary>
    public ModuleAddresses Modules { get; init; }

    /// <summary>The tenant that <c>ps</c> shows, or null.</summary>
    public string? Tenant { get; init; }

    /// <summary>The most memory for translated code; null for the hypervisor's own limit.</summary>
    public ByteSize? TranslatedCode { get; init; } = HostCapacity.TranslatedCode;

    /// <summary>QEMU's arguments for the disk: what a guest writes is its own and gone with it.</summary>
    public UserArguments Devices => Disk is null
        ? UserArguments.None
        : UserArguments.Parse(["-drive", $"file={Disk.Replace(",", ",,", StringComparison.Ordinal)},format=raw,if=virtio,snapshot=on"]);

    /// <summary>Gets the specification of one guest; its console is a file in the VM's folder.</summary>
    /// <param name="layout">Where the guest's layout comes from.</param>
    /// <param name="folder">The VM's folder.</param>
    /// <param name="accelerator">What executes the guest.</param>
    public VmSpec ToSpec(GuestLayout layout, VmFolder folder, AcceleratorChoice accelerator) => VmSpec.Create(folder.Name, Kernel, Initrd) with
    {
        Tenant = Tenant,
        CommandLine = layout.Mode == ExperimentMode.Off ? $"{CommandLine} nokaslr" : CommandLine,
        Memory = Memory.Bytes,
        Machine = Machine.Argument,
        Policy = layout.Policy.ToString(),
        ModuleAddresses = ModuleAddressesSetting.Text(Modules),
        Cpus = Cpus,
        Accelerator = accelerator.Kind,
        AcceleratorReason = accelerator.Reason,
        Console = Path.Combine(folder.Path, "console"),
        HypervisorArguments = Devices.All,
        Stock = layout.Mode != ExperimentMode.KaslrMt,
        TranslatedCode = TranslatedCode?.Bytes,

        // The experiment compares the memory itself, when the guest stands still.
        Verify = false,
    };
}

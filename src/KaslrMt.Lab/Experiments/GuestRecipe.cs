using KaslrMt.Hypervisors;
using KaslrMt.Kernels;

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

    /// <summary>QEMU's arguments for the disk: what a guest writes is its own and gone with it.</summary>
    public UserArguments Devices => Disk is null
        ? UserArguments.None
        : UserArguments.Parse(["-drive", $"file={Disk.Replace(",", ",,", StringComparison.Ordinal)},format=raw,if=virtio,snapshot=on"]);
}

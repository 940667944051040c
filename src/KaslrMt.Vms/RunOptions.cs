using KaslrMt.Hypervisors;
using KaslrMt.Tenants;

namespace KaslrMt.Vms;

/// <summary>What a VM is to be, besides its layout. Holds no secret.</summary>
internal sealed record RunOptions
{
    /// <summary>The VM's name.</summary>
    public required string Name { get; init; }

    /// <summary>Whose it is, or null.</summary>
    public string? Tenant { get; init; }

    /// <summary>The tenant table that it has its key from, or null.</summary>
    public TableSettings? Table { get; init; }

    /// <summary>The tenant's kernel file.</summary>
    public required string Kernel { get; init; }

    /// <summary>The initrd, or null.</summary>
    public string? Initrd { get; init; }

    /// <summary>Where running VMs are kept; null for the user's own directory.</summary>
    public RuntimeDirectory? Runtime { get; init; }

    /// <summary>Virtual CPUs.</summary>
    public int Cpus { get; init; } = 1;

    /// <summary>What its free pages hold.</summary>
    public FreePages FreePages { get; init; }

    /// <summary>What executes the guest.</summary>
    public required AcceleratorChoice Accelerator { get; init; }

    /// <summary>Where its serial console goes.</summary>
    public SerialConsole Console { get; init; } = SerialConsole.None;

    /// <summary>Further QEMU arguments.</summary>
    public UserArguments UserArguments { get; init; } = UserArguments.None;

    /// <summary>QEMU's program.</summary>
    public string Program { get; init; } = "qemu-system-x86_64";

    /// <summary>Whether a kernel that cannot be given a layout boots with its own KASLR.</summary>
    public bool FallBackToStock { get; init; }

    /// <summary>Whether the guest's memory is compared with the layout after each boot.</summary>
    public bool Verify { get; init; } = true;

    /// <summary>Whether prepared kernels are cached.</summary>
    public bool UseCache { get; init; } = true;

    /// <summary>Whether the VM outlives its owner.</summary>
    public bool Detached { get; init; }

    /// <summary>How long the guest may take to power off when the VM is stopped.</summary>
    public TimeSpan StopGrace { get; init; } = TimeSpan.FromSeconds(3);
}

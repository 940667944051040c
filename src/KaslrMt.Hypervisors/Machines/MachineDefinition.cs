namespace KaslrMt.Hypervisors;

/// <summary>What a hypervisor is to build. Holds no secret: all of it may appear in arguments that every user of the host sees.</summary>
public sealed record MachineDefinition
{
    /// <summary>The name of Debian's QEMU for x86-64.</summary>
    public const string DefaultProgram = "qemu-system-x86_64";

    /// <summary>The file for <c>-kernel</c>: a bootable ELF, or a bzImage. Null only where the guest arrives by migration.</summary>
    public required string? Kernel { get; init; }

    /// <summary>
    /// Whether the VM boots through the gate: <see cref="Kernel"/> is then <see cref="GateFile"/>, a guest's reboot leaves the hypervisor running, and
    /// <see cref="IVirtualMachine.WaitForGateAsync"/> tells when the guest waits for a kernel.
    /// </summary>
    public bool HasGate { get; init; }

    /// <summary>The machine type.</summary>
    public required IMachineModel Machine { get; init; }

    /// <summary>RAM; whole MiB.</summary>
    public required ByteSize Memory { get; init; }

    /// <summary>What executes the guest.</summary>
    public required AcceleratorChoice Accelerator { get; init; }

    /// <summary>
    /// With TCG: the most memory for translated code, whole MiB; what is beyond is translated again when it is met again. Null for QEMU's own limit, 1 GiB.
    /// </summary>
    public ByteSize? TranslatedCode { get; init; }

    /// <summary>Virtual CPUs, 1 to 255.</summary>
    public int Cpus { get; init; } = 1;

    /// <summary>The initrd, or null.</summary>
    public string? Initrd { get; init; }

    /// <summary>The guest's command line, or null for none.</summary>
    public string? CommandLine { get; init; }

    /// <summary>Where the guest's serial console goes.</summary>
    public SerialConsole Console { get; init; } = SerialConsole.None;

    /// <summary>The user's further QEMU arguments.</summary>
    public UserArguments UserArguments { get; init; } = UserArguments.None;

    /// <summary>Whether the guest waits, loaded but not begun, until <see cref="IVmConnection.ContinueAsync"/>.</summary>
    public bool StartPaused { get; init; }

    /// <summary>
    /// Whether the guest comes from another QEMU or a file, see <see cref="IVirtualMachine.ListenAsync"/>. Machine, memory, CPUs, devices and
    /// QEMU's version must be those of the source; kernel, initrd and command line need not be given, for they arrive with the memory.
    /// </summary>
    public bool AwaitsMigration { get; init; }

    /// <summary>Whether QEMU goes on when its owner dies, for a later owner to attach to; an owner that ends in order still ends it.</summary>
    public bool OutlivesOwner { get; init; }

    /// <summary>The QEMU program: a name to look up in PATH, or a path.</summary>
    public string Program { get; init; } = DefaultProgram;

    /// <summary>The rights that the hypervisor's process has; null for this process's own. With it the hypervisor confines itself, too (<c>-sandbox on</c>).</summary>
    public ProcessUser? RunAs { get; init; }

    /// <summary>The systemd scope that the hypervisor's process is put into, such as <c>kaslrmt-vm-web1.scope</c>; null for this process's own unit.</summary>
    public string? Scope { get; init; }

    /// <summary>The folder that relative paths in <see cref="UserArguments"/> start from; null for this process's own.</summary>
    public string? WorkingDirectory { get; init; }

    /// <summary>How long QEMU may take until its monitor answers.</summary>
    public TimeSpan StartTimeout { get; init; } = TimeSpan.FromSeconds(60);
}

using KaslrMt.Vms;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Layout;

namespace KaslrMt.BootTests.Running;

/// <summary>What a test's guest is to be.</summary>
internal sealed record GuestPlan
{
    internal string Kernel { get; init; } = "6.12-cloud";

    /// <summary>A file to boot instead of the kernel's own.</summary>
    internal string? Image { get; init; }

    internal string Machine { get; init; } = "q35";

    internal string Memory { get; init; } = "512M";

    internal int Cpus { get; init; } = 1;

    /// <summary>Processors the guest finds: without ACPI, QEMU 7.2's microvm lists none but the first, for any kernel.</summary>
    internal int CpusFound => Machine == QemuMachine.MicrovmWithoutAcpi.Argument ? 1 : Cpus;

    internal string Policy { get; init; } = "110010";

    /// <summary>The tenant, whose key is <see cref="TestSecrets.Key"/>'s.</summary>
    internal string Tenant { get; init; } = "tenant";

    /// <summary>The VM seed's hexadecimal digits.</summary>
    internal required string Seed { get; init; }

    internal string Producer { get; init; } = "hkdf";

    /// <summary>Further words for the guest's command line.</summary>
    internal string Append { get; init; } = "";

    /// <summary>What init does once it has printed its view.</summary>
    internal string Then { get; init; } = "sleep 100000";

    /// <summary>Modules of the kernel that lie in /m, by file name without <c>.ko</c>.</summary>
    internal IReadOnlyList<string> ModuleFiles { get; init; } = [];

    internal ModuleAddresses Modules { get; init; }

    internal FreePages FreePages { get; init; }

    internal bool FallBackToStock { get; init; }

    internal bool UseCache { get; init; }

    public override string ToString() =>
        $"{Kernel} {Machine} {Memory} smp {Cpus} policy {Policy} {Producer} tenant {Tenant} seed {Seed} '{Append}' (KASLRMT_BOOT_SEED={TestSecrets.Master})";

    /// <summary>The VM as the product describes it: in TCG, without a console.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="request">What its layout is chosen from.</param>
    internal VmSpec Spec(string name, LayoutRequest request) => new()
    {
        Version = VmSpec.CurrentVersion,
        Name = name,
        Tenant = Tenant,
        Kernel = Image ?? TestKernels.Image(Kernel),
        CommandLine = request.Line.Text,
        Memory = request.Memory.Bytes,
        Machine = request.Machine.Argument,
        Policy = request.Policy.ToString(),
        Producer = request.Producer.Name,
        ModuleAddresses = ModuleAddressesSetting.Text(Modules),
        FreePages = FreePages,
        Cpus = Cpus,
        Accelerator = Accelerator.Tcg,
        AcceleratorReason = "asked for",
        Console = VmSpec.NoConsole,
        HypervisorArguments = [],
        Program = "qemu-system-x86_64",
        FallBackToStock = FallBackToStock,
        Verify = true,
        UseCache = UseCache,
        WorkingDirectory = Environment.CurrentDirectory,
    };

    /// <summary>What the product chooses the layout from.</summary>
    /// <param name="initrdSize">The initrd's size in bytes.</param>
    internal LayoutRequest Request(long initrdSize)
    {
        QemuMachine machine = QemuMachine.Parse(Machine);
        Assert.True(ByteSize.TryParse(Memory, out ByteSize memory));

        // No log line cuts a printed one in two: the kernel's own messages are read with dmesg.
        // Nor does a host under load look like a broken timer to the guest (Linux does not check it under KVM).
        string words = $"console=ttyS0 quiet no_timer_check {Append}".TrimEnd();
        GuestCommandLine line = GuestCommandLine.Parse(machine == QemuMachine.MicrovmWithoutAcpi ? $"{words} reboot=t" : words);
        return new LayoutRequest
        {
            Memory = memory,
            Machine = machine,
            Ram = GuestRam.Of(machine, memory, (ulong)initrdSize),
            Line = line,
            Policy = line.Policy ?? Layout.Policy.Parse(Policy),
            Producer = AddressProducers.Parse(Producer),
            Key = line.Key ?? TenantKey.Parse(TestSecrets.Key(Tenant)),
            Seed = VmSeed.FromHex(Seed),
            Modules = Modules,
        };
    }
}

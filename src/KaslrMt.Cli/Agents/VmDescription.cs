using KaslrMt.Hypervisors;
using KaslrMt.Tenants;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Agents;

/// <summary>What the options of <c>run</c> say of a VM besides its layout.</summary>
internal sealed record VmDescription
{
    public required string Name { get; init; }

    public string? Tenant { get; init; }

    public TableSettings? Table { get; init; }

    public required string Kernel { get; init; }

    public int Cpus { get; init; } = 1;

    public FreePages FreePages { get; init; }

    public required AcceleratorChoice Accelerator { get; init; }

    public required string Console { get; init; }

    public UserArguments UserArguments { get; init; } = UserArguments.None;

    public required string Program { get; init; }

    public bool FallBackToStock { get; init; }

    public bool Verify { get; init; } = true;

    public bool UseCache { get; init; } = true;

    /// <summary>Gets the VM's specification.</summary>
    /// <param name="request">What its layout is chosen from.</param>
    public VmSpec ToSpec(LayoutRequest request) => new()
    {
        Version = VmSpec.CurrentVersion,
        Name = Name,
        Tenant = Tenant,
        Table = Table,
        Kernel = Path.GetFullPath(Kernel),
        Initrd = request.Initrd is null ? null : Path.GetFullPath(request.Initrd),
        CommandLine = request.Line.Text,
        Memory = request.Memory.Bytes,
        Machine = request.Machine.Argument,
        Policy = request.Policy.ToString(),
        Producer = request.Producer.Name,
        ModuleAddresses = ModuleAddressesSetting.Text(request.Modules),
        FreePages = FreePages,
        KeyFile = request.KeyFile,
        Cpus = Cpus,
        Accelerator = Accelerator.Kind,
        AcceleratorReason = Accelerator.Reason,
        Console = Console,
        HypervisorArguments = UserArguments.All,
        Program = Program,
        FallBackToStock = FallBackToStock,
        Verify = Verify,
        UseCache = UseCache,
        WorkingDirectory = Environment.CurrentDirectory,
    };
}

using System.Text.Json;
using System.Text.Json.Serialization;
using KaslrMt.Hypervisors;
using KaslrMt.Layout;
using KaslrMt.Tenants;

namespace KaslrMt.Vms;

/// <summary>What a detached VM is, kept in its folder so that any later supervisor can boot it again. Holds no secret.</summary>
internal sealed record DetachedPlan
{
    /// <summary>A console that other programs connect to: <see cref="VmFolder.ConsoleSocket"/>.</summary>
    public const string SocketConsole = "socket";

    /// <summary>No console.</summary>
    public const string NoConsole = "none";

    /// <summary>More is no plan: a command line cannot be longer.</summary>
    public const int LargestSize = 4 << 20;

    private const string FileName = "plan";

    public required string Name { get; init; }

    public string? Tenant { get; init; }

    /// <summary>The tenant table that the supervisor takes the key from, or null.</summary>
    public TableSettings? Table { get; init; }

    public required string Kernel { get; init; }

    public string? Initrd { get; init; }

    /// <summary>The line the guest sees, without a key.</summary>
    public required string CommandLine { get; init; }

    public required ulong Memory { get; init; }

    public required string Machine { get; init; }

    public required string Policy { get; init; }

    public required string Producer { get; init; }

    /// <summary>How the kernel places modules; null in a plan of a version that did not know it.</summary>
    public string? ModuleAddresses { get; init; }

    /// <summary>What free pages hold.</summary>
    public FreePages FreePages { get; init; }

    /// <summary>The tenant key's file, or null where the key came another way.</summary>
    public string? KeyFile { get; init; }

    public required int Cpus { get; init; }

    public required Accelerator Accelerator { get; init; }

    public required string AcceleratorReason { get; init; }

    /// <summary><see cref="SocketConsole"/>, <see cref="NoConsole"/> or a file.</summary>
    public required string Console { get; init; }

    [JsonPropertyName("qemuArguments")]
    public required IReadOnlyList<string> HypervisorArguments { get; init; }

    [JsonPropertyName("qemuProgram")]
    public required string Program { get; init; }

    public required bool FallBackToStock { get; init; }

    public required bool Verify { get; init; }

    public required bool UseCache { get; init; }

    /// <summary>What the user's QEMU arguments may be relative to.</summary>
    public required string WorkingDirectory { get; init; }

    /// <summary>The plan of a call.</summary>
    /// <param name="options">What the VM is to be.</param>
    /// <param name="request">What its layout is chosen from.</param>
    /// <param name="console">As <see cref="Console"/>.</param>
    public static DetachedPlan Of(RunOptions options, LayoutRequest request, string console) => new()
    {
        Name = options.Name,
        Tenant = options.Tenant,
        Table = options.Table,
        Kernel = Path.GetFullPath(options.Kernel),
        Initrd = options.Initrd is null ? null : Path.GetFullPath(options.Initrd),
        CommandLine = request.Line.Text,
        Memory = request.Memory.Bytes,
        Machine = request.Machine.Argument,
        Policy = request.Policy.ToString(),
        Producer = request.Producer.Name,
        ModuleAddresses = ModuleAddressesSetting.Text(request.Modules),
        FreePages = options.FreePages,
        KeyFile = request.KeyFile,
        Cpus = options.Cpus,
        Accelerator = options.Accelerator.Kind,
        AcceleratorReason = options.Accelerator.Reason,
        Console = console,
        HypervisorArguments = options.UserArguments.All,
        Program = options.Program,
        FallBackToStock = options.FallBackToStock,
        Verify = options.Verify,
        UseCache = options.UseCache,
        WorkingDirectory = Environment.CurrentDirectory,
    };

    /// <summary>The options it stands for.</summary>
    /// <param name="folder">The VM's folder.</param>
    public RunOptions ToOptions(VmFolder folder) => new()
    {
        Name = Name,
        Tenant = Tenant,
        Table = Table,
        Kernel = Kernel,
        Initrd = Initrd,
        Cpus = Cpus,
        Accelerator = new AcceleratorChoice(Accelerator, AcceleratorReason),
        Console = Console switch
        {
            SocketConsole => SerialConsole.ToSocket(folder.ConsoleSocket),
            NoConsole => SerialConsole.None,
            _ => SerialConsole.ToFile(Console),
        },
        UserArguments = UserArguments.Parse(HypervisorArguments),
        Program = Program,
        FreePages = FreePages,
        FallBackToStock = FallBackToStock,
        Verify = Verify,
        UseCache = UseCache,
        Detached = true,
    };

    /// <summary>What its layouts are chosen from.</summary>
    /// <param name="key">The tenant key, or null; owned by the request then.</param>
    /// <param name="seed">The VM seed given, or null; owned by the request then.</param>
    /// <param name="earlier">What the key gave before, in its place; owned by the request then.</param>
    public LayoutRequest ToRequest(TenantKey? key, VmSeed? seed, DerivedSlots? earlier) => new()
    {
        Memory = new ByteSize(Memory),
        Machine = Hypervisor.Default.Machine(Machine),
        Initrd = Initrd,
        Line = GuestCommandLine.Parse(CommandLine),
        Policy = Layout.Policy.Parse(Policy),
        Producer = AddressProducers.Parse(Producer),
        Key = key,
        KeyFile = KeyFile,
        Earlier = earlier,
        Modules = ModuleAddresses is null ? Kernels.ModuleAddresses.ByOrder : ModuleAddressesSetting.Parse(ModuleAddresses),
        Seed = seed,
    };

    /// <summary>The plan as bytes.</summary>
    public byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(this, DetachedPlanJson.Default.DetachedPlan);

    /// <summary>The plan of bytes.</summary>
    /// <exception cref="KaslrMtException">KMT9013: it is none.</exception>
    public static DetachedPlan Of(ReadOnlySpan<byte> bytes)
    {
        try
        {
            return JsonSerializer.Deserialize(bytes, DetachedPlanJson.Default.DetachedPlan) ?? throw new JsonException();
        }
        catch (JsonException error)
        {
            throw new KaslrMtException(VmErrors.Supervisor, "what a detached VM's supervisor was given is no plan", inner: error);
        }
    }

    /// <summary>Keeps it in the VM's folder.</summary>
    public void WriteTo(VmFolder folder)
    {
        using WholeFile file = WholeFile.Create(Path.Combine(folder.Path, FileName));
        file.Write(ToBytes(), 0);
        file.Commit();
    }

    /// <summary>Reads it from a VM's folder.</summary>
    /// <exception cref="KaslrMtException">KMT9013: there is none that can be read.</exception>
    public static DetachedPlan ReadFrom(VmFolder folder)
    {
        var file = new FileInfo(Path.Combine(folder.Path, FileName));
        return file.Exists && file.Length <= LargestSize
            ? Of(File.ReadAllBytes(file.FullName))
            : throw new KaslrMtException(VmErrors.Supervisor, $"{file.FullName} is not the plan of a detached VM");
    }
}

/// <summary>Writes and reads <see cref="DetachedPlan"/> without reflection.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true)]
[JsonSerializable(typeof(DetachedPlan))]
internal sealed partial class DetachedPlanJson : JsonSerializerContext;

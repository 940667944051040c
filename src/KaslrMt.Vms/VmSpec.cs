using System.Text.Json;
using System.Text.Json.Serialization;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;

namespace KaslrMt.Vms;

/// <summary>
/// What a VM is to be: the one description of it. What lies in its folder, is saved, migrated or sent to the agent contains this record; nothing copies its members.
/// It holds no secret: the tenant key and a VM seed go beside it (<see cref="VmSecrets"/>).
/// </summary>
public sealed partial record VmSpec
{
    /// <summary>The version of the format that this program writes. It reads every earlier one.</summary>
    public const int CurrentVersion = 2;

    /// <summary>The console of a VM in the foreground: this process's own standard streams.</summary>
    public const string StandardConsole = "stdio";

    /// <summary>A console that other programs connect to: <see cref="VmFolder.ConsoleSocket"/>.</summary>
    public const string SocketConsole = "socket";

    /// <summary>No console.</summary>
    public const string NoConsole = "none";

    /// <summary>The largest serialized specification in bytes: a command line cannot be longer.</summary>
    public const int LargestSize = 4 << 20;

    private const string FileName = "plan";

    /// <summary>The version of the format; 1 where the text names none.</summary>
    public int Version { get; set; } = 1;

    /// <summary>The VM's name (<see cref="VmName"/>).</summary>
    public required string Name { get; init; }

    /// <summary>The tenant's name, or null.</summary>
    public string? Tenant { get; init; }

    /// <summary>The tenant table that gives the key; null where the key came another way, or none is needed.</summary>
    public TableSettings? Table { get; init; }

    /// <summary>The absolute path of the tenant's kernel: a bzImage or an ELF vmlinux.</summary>
    public required string Kernel { get; init; }

    /// <summary>The absolute path of the initrd, or null.</summary>
    public string? Initrd { get; init; }

    /// <summary>The command line that the guest sees, without a key.</summary>
    public required string CommandLine { get; init; }

    /// <summary>RAM in bytes; whole MiB.</summary>
    public required ulong Memory { get; init; }

    /// <summary>The machine type, such as <c>q35</c>.</summary>
    public required string Machine { get; init; }

    /// <summary>The policy's bitmap, such as <c>110010</c>.</summary>
    public required string Policy { get; init; }

    /// <summary>The name of the address producer, such as <c>hkdf</c>.</summary>
    public required string Producer { get; init; }

    /// <summary>How the kernel places modules; null in a specification of a version that did not know it.</summary>
    public string? ModuleAddresses { get; init; }

    /// <summary>What the guest's free pages hold.</summary>
    public FreePages FreePages { get; init; }

    /// <summary>The tenant key's file, or null where the key came another way.</summary>
    public string? KeyFile { get; init; }

    /// <summary>Virtual CPUs, 1 to 255.</summary>
    public required int Cpus { get; init; }

    /// <summary>What executes the guest: decided when the VM was described.</summary>
    public required Accelerator Accelerator { get; init; }

    /// <summary>Why this accelerator, in one clause.</summary>
    public required string AcceleratorReason { get; init; }

    /// <summary><see cref="StandardConsole"/>, <see cref="SocketConsole"/>, <see cref="NoConsole"/> or the absolute path of a file.</summary>
    public required string Console { get; init; }

    /// <summary>The user's further arguments for QEMU.</summary>
    [JsonPropertyName("qemuArguments")]
    public required IReadOnlyList<string> HypervisorArguments { get; init; }

    /// <summary>The hypervisor's program: a name to look up in PATH, or a path.</summary>
    [JsonPropertyName("qemuProgram")]
    public required string Program { get; init; }

    /// <summary>Whether a kernel that cannot be given a layout boots with its own KASLR.</summary>
    public required bool FallBackToStock { get; init; }

    /// <summary>Whether the kernel boots with its own KASLR on purpose, as in an experiment's comparison.</summary>
    public bool Stock { get; init; }

    /// <summary>With TCG: the most memory for translated code in bytes, whole MiB; null for the hypervisor's own limit.</summary>
    public ulong? TranslatedCode { get; init; }

    /// <summary>Whether the guest's memory is compared with the layout after each boot.</summary>
    public required bool Verify { get; init; }

    /// <summary>Whether prepared kernels are cached.</summary>
    public required bool UseCache { get; init; }

    /// <summary>The folder that relative paths in <see cref="HypervisorArguments"/> start from.</summary>
    public required string WorkingDirectory { get; init; }

    /// <summary>Gets what executes the guest.</summary>
    [JsonIgnore]
    public AcceleratorChoice AcceleratorChoice => new(Accelerator, AcceleratorReason);

    /// <summary>Gets the user's arguments, checked.</summary>
    /// <exception cref="KaslrMtException">KMT3012: one would take the VM out of this program's hands.</exception>
    [JsonIgnore]
    public UserArguments UserArguments => UserArguments.Parse(HypervisorArguments);

    /// <summary>Gets the console as the hypervisor knows it.</summary>
    /// <param name="folder">The VM's folder.</param>
    public SerialConsole ConsoleIn(VmFolder folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        return Console switch
        {
            StandardConsole => SerialConsole.Standard,
            SocketConsole => SerialConsole.ToSocket(folder.ConsoleSocket),
            NoConsole => SerialConsole.None,
            _ => SerialConsole.ToFile(Console),
        };
    }

    /// <summary>Gets the state of the VM before its first boot, owned by this process.</summary>
    /// <param name="detached">Whether the VM goes on when this process dies.</param>
    internal VmState FirstState(bool detached) => VmState.OwnedByThisProcess(Name) with
    {
        Tenant = Tenant,
        Kernel = Kernel,
        Memory = Memory,
        Machine = Machine,
        Accelerator = AcceleratorChoice.Argument,
        FreePages = FreePages,
        Detached = detached,
    };

    /// <summary>Gets the specification as JSON in UTF-8.</summary>
    public byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(this, VmSpecJson.Default.VmSpec);

    /// <summary>Reads a specification from JSON in UTF-8.</summary>
    /// <exception cref="KaslrMtException">KMT9013: the text is not a specification, or is of a later version than this program.</exception>
    public static VmSpec Of(ReadOnlySpan<byte> bytes)
    {
        try
        {
            VmSpec spec = JsonSerializer.Deserialize(bytes, VmSpecJson.Default.VmSpec) ?? throw new JsonException();
            return spec.Version <= CurrentVersion
                ? spec
                : throw new KaslrMtException(
                    VmErrors.SpecInvalid, $"the specification of VM '{Printable.Of(spec.Name, 80)}' has version {spec.Version}, this program knows {CurrentVersion}", "upgrade kaslrmt on this host");
        }
        catch (JsonException error)
        {
            throw new KaslrMtException(VmErrors.SpecInvalid, "the text is not the specification of a VM", inner: error);
        }
    }

    /// <summary>Keeps the specification in the VM's folder.</summary>
    internal void WriteTo(VmFolder folder)
    {
        using WholeFile file = WholeFile.Create(Path.Combine(folder.Path, FileName));
        file.Write(ToBytes(), 0);
        file.Commit();
    }

    /// <summary>Reads the specification from a VM's folder.</summary>
    /// <exception cref="KaslrMtException">KMT9013: the folder holds none that can be read.</exception>
    internal static VmSpec ReadFrom(VmFolder folder)
    {
        var file = new FileInfo(Path.Combine(folder.Path, FileName));
        return file.Exists && file.Length <= LargestSize
            ? Of(File.ReadAllBytes(file.FullName))
            : throw new KaslrMtException(VmErrors.SpecInvalid, $"{file.FullName} is not the specification of a VM");
    }
}

/// <summary>Writes and reads <see cref="VmSpec"/> without reflection.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true)]
[JsonSerializable(typeof(VmSpec))]
internal sealed partial class VmSpecJson : JsonSerializerContext;

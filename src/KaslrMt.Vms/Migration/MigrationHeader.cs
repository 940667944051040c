using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Json.Serialization;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;

namespace KaslrMt.Vms;

/// <summary>What goes before a guest's own state, into a file or to another host: all that its next supervisor needs. Holds its layout, so it is a secret.</summary>
internal sealed record MigrationHeader
{
    /// <summary>More is none: plan and layout have limits of their own.</summary>
    public const int LargestSize = VmSpec.LargestSize + (1 << 20);

    /// <summary>What the VM is.</summary>
    [JsonPropertyName("plan")]
    public required VmSpec Spec { get; init; }

    /// <summary>Its layout; null where it boots with its kernel's own KASLR.</summary>
    public IntendedLayout? Layout { get; init; }

    /// <summary>Which start of the tenant table's it is; null where it is in none.</summary>
    [JsonPropertyName("place")]
    public RegistrationFile? Registration { get; init; }

    /// <summary>Its kernel's release.</summary>
    public string? Release { get; init; }

    /// <summary>When it was first started.</summary>
    public required DateTimeOffset Created { get; init; }

    /// <summary>How often its guest has rebooted.</summary>
    public required int Reboots { get; init; }

    private static ReadOnlySpan<byte> Magic => "kaslrmt saved 1\n"u8;

    /// <summary>What is known of a VM that runs here.</summary>
    public static MigrationHeader Of(VmSpec spec, VmFolder folder, VmState state) => new()
    {
        Spec = spec,
        Layout = IntendedLayout.ReadFrom(folder.Path),
        Registration = spec.Table is null ? null : RegistrationFile.ReadFrom(folder),
        Release = state.Release,
        Created = state.Created,
        Reboots = state.Reboots,
    };

    /// <summary>Its state in a folder of this process's.</summary>
    public VmState ToState() => VmState.OwnedByThisProcess(Spec.Name) with
    {
        Tenant = Spec.Tenant,
        Kernel = Spec.Kernel,
        Memory = Spec.Memory,
        Machine = Spec.Machine,
        Accelerator = Spec.Accelerator == Accelerator.Kvm ? "kvm" : "tcg",
        FreePages = Spec.FreePages,
        Detached = true,
        Release = Release,
        Created = Created,
        Reboots = Reboots,
    };

    /// <summary>It as bytes.</summary>
    public byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(this, MigrationHeaderJson.Default.MigrationHeader);

    /// <summary>That of bytes.</summary>
    /// <exception cref="KaslrMtException">KMT9015: it is none.</exception>
    public static MigrationHeader Of(ReadOnlySpan<byte> bytes)
    {
        try
        {
            return JsonSerializer.Deserialize(bytes, MigrationHeaderJson.Default.MigrationHeader) ?? throw new JsonException();
        }
        catch (JsonException error)
        {
            throw new KaslrMtException(VmErrors.NotSaved, "what was read describes no VM", inner: error);
        }
    }

    /// <summary>The first bytes of a saved VM's file.</summary>
    public byte[] ToPreface()
    {
        byte[] body = ToBytes();
        byte[] preface = new byte[Magic.Length + sizeof(int) + body.Length];
        Magic.CopyTo(preface);
        BinaryPrimitives.WriteInt32LittleEndian(preface.AsSpan(Magic.Length), body.Length);
        body.CopyTo(preface, Magic.Length + sizeof(int));
        return preface;
    }

    /// <summary>Reads a saved VM's file.</summary>
    /// <returns>The VM, and where its guest's state begins.</returns>
    /// <exception cref="KaslrMtException">KMT9015: it cannot be read, is open to others, or is no saved VM.</exception>
    public static (MigrationHeader Vm, long State) ReadFrom(string path)
    {
        try
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);

            // What it holds becomes QEMU's arguments: whoever can write it could run anything as this user.
            if (SecretFile.Exposure(file.SafeFileHandle) is { } exposure)
            {
                throw new KaslrMtException(
                    VmErrors.NotSaved, $"the saved VM {path} {exposure}", "make it the file of who runs kaslrmt, mode 0600 (chown, chmod), if you know that it is as it was");
            }

            Span<byte> head = stackalloc byte[Magic.Length + sizeof(int)];
            file.ReadExactly(head);
            int size = BinaryPrimitives.ReadInt32LittleEndian(head[Magic.Length..]);
            if (!head.StartsWith(Magic) || size is < 2 or > LargestSize || size > file.Length)
            {
                throw new EndOfStreamException();
            }

            byte[] body = new byte[size];
            file.ReadExactly(body);
            return (Of(body), head.Length + size);
        }
        catch (EndOfStreamException error)
        {
            throw new KaslrMtException(VmErrors.NotSaved, $"{path} is not a saved VM, or was cut off", "give the file that it wrote", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(
                VmErrors.NotSaved, $"the saved VM {path} cannot be read: {FileProblem.Reason(error)}", "give the file that the save wrote", error);
        }
    }

    /// <summary>Where a VM is saved if nobody says otherwise.</summary>
    public static string DefaultFile(string stateDirectory, string name) => Path.Combine(stateDirectory, "saved", name);

    /// <summary>Shows no base.</summary>
    public override string ToString() => $"{nameof(MigrationHeader)} {Spec.Name}";
}

/// <summary>Writes and reads <see cref="MigrationHeader"/> and the orders about it without reflection.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true)]
[JsonSerializable(typeof(MigrationHeader))]
[JsonSerializable(typeof(LinkMessages))]
[JsonSerializable(typeof(MoveReport))]
internal sealed partial class MigrationHeaderJson : JsonSerializerContext;

using System.Text.Json;
using System.Text.Json.Serialization;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Tenants;

namespace KaslrMt.Cli.Tables;

/// <summary>Which start of the table's a detached VM is, kept in its folder for the next supervisor. Holds no secret.</summary>
internal sealed record PlaceNote
{
    private const string FileName = "place";
    private const int LargestFile = 64 << 10;

    public required string Tenant { get; init; }

    public required string Host { get; init; }

    public required long Generation { get; init; }

    public required string Policy { get; init; }

    public required Guid Incarnation { get; init; }

    public required DateTimeOffset Started { get; init; }

    /// <summary>The note of a record.</summary>
    public static PlaceNote Of(VmRecord vm) => new()
    {
        Tenant = vm.Tenant,
        Host = vm.Host,
        Generation = vm.Generation,
        Policy = vm.Policy.ToString(),
        Incarnation = vm.Incarnation,
        Started = vm.Started,
    };

    /// <summary>The record it was, of a VM that runs.</summary>
    public VmRecord ToRecord(string name) => new()
    {
        Name = name,
        Tenant = Tenant,
        Host = Host,
        Generation = Generation,
        Policy = Layout.Policy.Parse(Policy),
        Status = VmStatus.Running,
        Incarnation = Incarnation,
        Started = Started,
        Since = Started,
    };

    /// <summary>Keeps it in the VM's folder.</summary>
    public void WriteTo(VmFolder folder)
    {
        using WholeFile file = WholeFile.Create(Path.Combine(folder.Path, FileName));
        file.Write(JsonSerializer.SerializeToUtf8Bytes(this, PlaceNoteJson.Default.PlaceNote), 0);
        file.Commit();
    }

    /// <summary>Reads it from a VM's folder; null where there is none that can be read: the VM is in no table, or starting.</summary>
    public static PlaceNote? TryReadFrom(string folder)
    {
        try
        {
            return ReadFrom(folder);
        }
        catch (Exception error) when (error is KaslrMtException or IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Reads it from a VM's folder.</summary>
    /// <exception cref="KaslrMtException">KMT9013: there is none that can be read.</exception>
    public static PlaceNote ReadFrom(string folder)
    {
        var file = new FileInfo(Path.Combine(folder, FileName));
        try
        {
            return file.Exists && file.Length <= LargestFile
                ? JsonSerializer.Deserialize(File.ReadAllBytes(file.FullName), PlaceNoteJson.Default.PlaceNote) ?? throw new JsonException()
                : throw new JsonException();
        }
        catch (JsonException error)
        {
            throw new KaslrMtException(CommandErrors.Supervisor, $"{file.FullName} does not tell the VM's place in the tenant table", inner: error);
        }
    }
}

/// <summary>Writes and reads <see cref="PlaceNote"/> without reflection.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(PlaceNote))]
internal sealed partial class PlaceNoteJson : JsonSerializerContext;

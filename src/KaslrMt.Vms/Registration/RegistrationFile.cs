using System.Text.Json;
using System.Text.Json.Serialization;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;

namespace KaslrMt.Vms;

/// <summary>Which start of the table's a detached VM is, kept in its folder for the next supervisor. Holds no secret.</summary>
internal sealed record RegistrationFile
{
    private const string FileName = "place";
    private const int LargestFile = 64 << 10;

    public required string Tenant { get; init; }

    public required string Host { get; init; }

    public required long Generation { get; init; }

    public required string Policy { get; init; }

    public required Guid Incarnation { get; init; }

    public required DateTimeOffset Started { get; init; }

    /// <summary>Where the table is.</summary>
    public string? Store { get; init; }

    /// <summary>The note of a record.</summary>
    /// <param name="vm">The record.</param>
    /// <param name="settings">Where the table is.</param>
    public static RegistrationFile Of(VmRecord vm, TableSettings settings) => new()
    {
        Store = settings.Store ?? TenantStores.SqliteLocation(TenantStores.DefaultPath(settings.StateDirectory)),
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
        file.Write(JsonSerializer.SerializeToUtf8Bytes(this, RegistrationFileJson.Default.RegistrationFile), 0);
        file.Commit();
    }

    /// <summary>The note in a VM's folder; null where there is none, or none that can be read.</summary>
    public static RegistrationFile? TryReadFrom(string folder)
    {
        try
        {
            var file = new FileInfo(Path.Combine(folder, FileName));
            return file.Exists && file.Length <= LargestFile ? JsonSerializer.Deserialize(File.ReadAllBytes(file.FullName), RegistrationFileJson.Default.RegistrationFile) : null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or JsonException)
        {
            return null;
        }
    }

    /// <summary>Reads it from a VM's folder.</summary>
    /// <exception cref="KaslrMtException">KMT9013: there is none that can be read.</exception>
    public static RegistrationFile ReadFrom(VmFolder folder) =>
        TryReadFrom(folder.Path)
        ?? throw new KaslrMtException(VmErrors.SpecInvalid, $"{Path.Combine(folder.Path, FileName)} does not tell the VM's place in the tenant table");
}

/// <summary>Writes and reads <see cref="RegistrationFile"/> without reflection.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(RegistrationFile))]
internal sealed partial class RegistrationFileJson : JsonSerializerContext;

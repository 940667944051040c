using System.Text.Json.Serialization;

namespace KaslrMt.Tenants;

/// <summary>A tenant as the table knows it. The key itself is elsewhere, sealed.</summary>
public sealed record TenantRecord
{
    /// <summary>The tenant's name.</summary>
    public required string Name { get; init; }

    /// <summary>The number of the key it has, or had last; 0 before the first. Never goes back while the tenant exists.</summary>
    public long Generation { get; init; }

    /// <summary>16 hexadecimal digits that name the key without telling it (a keyed fingerprint), or null when there is no key.</summary>
    public string? KeyId { get; init; }

    /// <summary>How many VMs are alive: starting, running, saved or migrating.</summary>
    public long Vms { get; init; }

    /// <summary>An operator asked for a new key: it comes when the last VM has stopped.</summary>
    public bool RotationPending { get; init; }

    /// <summary>When the tenant was first seen.</summary>
    public required DateTimeOffset Created { get; init; }

    /// <summary>When its key was made, or null when there is none.</summary>
    public DateTimeOffset? KeyCreated { get; init; }

    /// <summary>Whether there is a key.</summary>
    [JsonIgnore]
    public bool HasKey => KeyId is not null;
}

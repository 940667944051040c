using System.Text.Json.Serialization;

namespace KaslrMt.Tenants;

/// <summary>A tenant as the table knows it. The key itself is elsewhere, sealed.</summary>
public sealed record TenantRecord
{
    /// <summary>Gets the tenant's name.</summary>
    public required string Name { get; init; }

    /// <summary>Gets the number of the key that the tenant has, or had last; 0 before the first. It never goes back while the tenant exists.</summary>
    public long Generation { get; init; }

    /// <summary>Gets 16 hexadecimal digits that name the key without telling it (a keyed fingerprint), or null where the tenant has no key.</summary>
    public string? KeyId { get; init; }

    /// <summary>Gets the number of VMs that are alive: starting, running, saved or migrating.</summary>
    public long Vms { get; init; }

    /// <summary>Gets whether an operator asked for a new key, which comes when the last VM has stopped.</summary>
    public bool RotationPending { get; init; }

    /// <summary>Gets the time at which the tenant was first seen.</summary>
    public required DateTimeOffset Created { get; init; }

    /// <summary>Gets the time at which the key was made, or null where the tenant has no key.</summary>
    public DateTimeOffset? KeyCreated { get; init; }

    /// <summary>Gets whether the tenant has a key.</summary>
    [JsonIgnore]
    public bool HasKey => KeyId is not null;
}

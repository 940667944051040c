namespace KaslrMt.Tenants;

/// <summary>A host as the table knows it.</summary>
public sealed record HostRecord
{
    /// <summary>Its identity, see <see cref="HostIdentity"/>.</summary>
    public required string Id { get; init; }

    /// <summary>Its name, for people.</summary>
    public required string Name { get; init; }

    /// <summary>The kernel's boot id when it last renewed its lease.</summary>
    public required string BootId { get; init; }

    /// <summary>Whether its lease holds. Without one its VMs are in doubt.</summary>
    public required bool Alive { get; init; }

    /// <summary>When it joined.</summary>
    public required DateTimeOffset Joined { get; init; }
}

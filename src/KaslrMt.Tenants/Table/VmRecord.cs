using System.Collections.Immutable;
using KaslrMt.Layout;

namespace KaslrMt.Tenants;

/// <summary>A VM as the table knows it. It holds no secret.</summary>
public sealed record VmRecord
{
    /// <summary>The VM's name, unique in the whole table.</summary>
    public required string Name { get; init; }

    /// <summary>Whose it is.</summary>
    public required string Tenant { get; init; }

    /// <summary>The identity of the host that runs it, or has its saved memory.</summary>
    public required string Host { get; init; }

    /// <summary>The host it migrates to, or null.</summary>
    public string? Target { get; init; }

    /// <summary>The generation of the tenant's key that it was started with, from 1.</summary>
    public required long Generation { get; init; }

    /// <summary>Which regions its tenant's key decides.</summary>
    public required Policy Policy { get; init; }

    /// <summary>The kernel's release, once known.</summary>
    public string? Release { get; init; }

    /// <summary>Where it is in its life.</summary>
    public required VmStatus Status { get; init; }

    /// <summary>Tells this start from earlier and later ones of the same name.</summary>
    public required Guid Incarnation { get; init; }

    /// <summary>The processes that keep it running on <see cref="Host"/>. When all are proven gone, the VM is.</summary>
    public ImmutableArray<ProcessMark> Processes { get; init; } = [];

    /// <summary>When it started.</summary>
    public required DateTimeOffset Started { get; init; }

    /// <summary>When its status last changed.</summary>
    public required DateTimeOffset Since { get; init; }
}

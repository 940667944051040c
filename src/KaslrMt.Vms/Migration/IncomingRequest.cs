using KaslrMt.Tenants;

namespace KaslrMt.Vms;

/// <summary>What a supervisor of a VM that comes from a file or another host is told at standard input. Holds no secret.</summary>
internal sealed record IncomingRequest
{
    /// <summary>The VM.</summary>
    public required string Name { get; init; }

    /// <summary>The file of a saved VM; or null.</summary>
    public string? File { get; init; }

    /// <summary>Where to await a VM, as <see cref="LinkAddress"/>; or null.</summary>
    public string? Listen { get; init; }

    /// <summary>This host's tenant table; null for a saved VM that is in none.</summary>
    public TableSettings? Table { get; init; }
}

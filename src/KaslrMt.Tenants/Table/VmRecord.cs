using System.Collections.Immutable;
using KaslrMt.Layout;

namespace KaslrMt.Tenants;

/// <summary>A VM as the table knows it. It holds no secret.</summary>
public sealed record VmRecord
{
    /// <summary>Gets the VM's name, unique in the whole table.</summary>
    public required string Name { get; init; }

    /// <summary>Gets the VM's tenant.</summary>
    public required string Tenant { get; init; }

    /// <summary>Gets the identity of the host that runs the VM, or has its saved memory.</summary>
    public required string Host { get; init; }

    /// <summary>Gets the host that the VM migrates to, or null.</summary>
    public string? Target { get; init; }

    /// <summary>Gets the generation of the tenant's key that the VM was started with, from 1.</summary>
    public required long Generation { get; init; }

    /// <summary>Gets the regions that the tenant's key decides.</summary>
    public required Policy Policy { get; init; }

    /// <summary>Gets the kernel's release, once known.</summary>
    public string? Release { get; init; }

    /// <summary>Gets the VM's place in its life.</summary>
    public required VmStatus Status { get; init; }

    /// <summary>Gets the mark that tells this start from earlier and later ones of the same name.</summary>
    public required Guid Incarnation { get; init; }

    /// <summary>Gets the processes that keep the VM running on <see cref="Host"/>. When all are proven gone, the VM is.</summary>
    public ImmutableArray<ProcessMark> Processes { get; init; } = [];

    /// <summary>Gets the time of the start.</summary>
    public required DateTimeOffset Started { get; init; }

    /// <summary>Gets the time of the last change of status.</summary>
    public required DateTimeOffset Since { get; init; }
}

/// <summary>A VM's place in its life. Each of these counts as alive: only a VM without a record does not. The numbers are stored.</summary>
public enum VmStatus
{
    /// <summary>The VM has its key; its process may not run yet.</summary>
    Starting = 1,

    /// <summary>The VM runs.</summary>
    Running = 2,

    /// <summary>The VM's memory is on disk, with its tenant's layout in it.</summary>
    Saved = 3,

    /// <summary>The VM is on two hosts; which one goes on is not settled.</summary>
    Migrating = 4,
}

/// <summary>A VM as an operator sees it.</summary>
/// <param name="Vm">The record.</param>
/// <param name="InDoubt">The reason why the table cannot tell whether the VM runs, or null. The VM counts as alive until <c>host evict</c> or <c>stop</c> settles the doubt.</param>
/// <param name="OlderKey">Whether it was started under another generation than its tenant's key has now: it came back after an eviction.</param>
public sealed record VmView(VmRecord Vm, string? InDoubt, bool OlderKey);

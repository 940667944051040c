using System.Collections.Immutable;
using KaslrMt.Layout;

namespace KaslrMt.Tenants;

/// <summary>One change of the table. Each touches one tenant and at most one VM, and is applied as a whole or not at all.</summary>
/// <remarks>The kinds of commands are a closed set, which <see cref="TenantRules"/> knows: another program adds stores, not commands.</remarks>
public abstract record TableCommand
{
    private protected TableCommand()
    {
    }

    /// <summary>Gets the tenant, where the command names it; else it is the VM's.</summary>
    public virtual string? TenantName => null;

    /// <summary>Gets the VM, or null.</summary>
    public virtual string? VmName => null;

    /// <summary>Gets the host whose lease decides whether the command is allowed, or null.</summary>
    public virtual string? HostId => null;
}

/// <summary>A VM starts: its tenant's first makes the key, all others get it.</summary>
public sealed record StartVm(
    string Tenant, string Name, string Host, Policy Policy, Guid Incarnation, ImmutableArray<ProcessMark> Processes, string? Release = null) : TableCommand
{
    /// <inheritdoc/>
    public override string TenantName => Tenant;

    /// <inheritdoc/>
    public override string VmName => Name;

    /// <inheritdoc/>
    public override string HostId => Host;
}

/// <summary>A starting (or rebooting) VM runs, in these processes.</summary>
public sealed record ReportRunning(string Name, Guid Incarnation, ImmutableArray<ProcessMark> Processes, string? Release = null) : TableCommand
{
    /// <inheritdoc/>
    public override string VmName => Name;
}

/// <summary>A running VM's memory is on disk now, and its processes are gone. It stays alive.</summary>
public sealed record SaveVm(string Name, Guid? Incarnation = null) : TableCommand
{
    /// <inheritdoc/>
    public override string VmName => Name;
}

/// <summary>A saved VM starts again from its memory, on the same host or another, with the key of its tenant.</summary>
public sealed record RestoreVm(string Name, string Host, Guid Incarnation, ImmutableArray<ProcessMark> Processes) : TableCommand
{
    /// <inheritdoc/>
    public override string VmName => Name;

    /// <inheritdoc/>
    public override string HostId => Host;
}

/// <summary>A running VM begins to migrate.</summary>
public sealed record BeginMigration(string Name, string Target, Guid? Incarnation = null) : TableCommand
{
    /// <inheritdoc/>
    public override string VmName => Name;

    /// <inheritdoc/>
    public override string HostId => Target;
}

/// <summary>A migrating VM runs on its target now, in these processes.</summary>
public sealed record FinishMigration(string Name, ImmutableArray<ProcessMark> Processes, Guid? Incarnation = null) : TableCommand
{
    /// <inheritdoc/>
    public override string VmName => Name;
}

/// <summary>A migrating VM stays where it was.</summary>
public sealed record AbortMigration(string Name, Guid? Incarnation = null) : TableCommand
{
    /// <inheritdoc/>
    public override string VmName => Name;
}

/// <summary>A VM is gone: stopped, crashed, or its saved memory thrown away. The tenant's last takes the key along.</summary>
/// <param name="Name">The VM.</param>
/// <param name="Incarnation">The start that is meant; a later one is left alone. Null means any start.</param>
/// <param name="Reason">The reason, for the audit log.</param>
/// <param name="Since">The VM is stopped only if nothing was reported of it since this time: a conclusion from an older record may be wrong by now.</param>
public sealed record StopVm(string Name, Guid? Incarnation = null, string? Reason = null, DateTimeOffset? Since = null) : TableCommand
{
    /// <inheritdoc/>
    public override string VmName => Name;
}

/// <summary>Settles the fate of a VM on a host that is gone for good. Refused while the host has a lease.</summary>
/// <param name="Name">The VM.</param>
/// <param name="Host">The host that is gone.</param>
/// <param name="IncludeSaved">Whether a VM saved there is gone too; else it stays alive and can be restored elsewhere.</param>
public sealed record EvictVm(string Name, string Host, bool IncludeSaved) : TableCommand
{
    /// <inheritdoc/>
    public override string VmName => Name;

    /// <inheritdoc/>
    public override string HostId => Host;
}

/// <summary>A host that was evicted came back and still runs this VM: it counts again, under the generation it was started with.</summary>
public sealed record ReattachVm(VmRecord Vm) : TableCommand
{
    /// <inheritdoc/>
    public override string TenantName => Vm.Tenant;

    /// <inheritdoc/>
    public override string VmName => Vm.Name;

    /// <inheritdoc/>
    public override string HostId => Vm.Host;
}

/// <summary>Asks for a new key. It comes when the tenant's last VM has stopped; never under a running one.</summary>
public sealed record RotateTenant(string Tenant) : TableCommand
{
    /// <inheritdoc/>
    public override string TenantName => Tenant;
}

/// <summary>Forgets a tenant that has no VM.</summary>
public sealed record RemoveTenant(string Tenant) : TableCommand
{
    /// <inheritdoc/>
    public override string TenantName => Tenant;
}

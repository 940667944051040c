using KaslrMt.Tenants;

namespace KaslrMt.Cli.Tables;

/// <summary>A tenant, as <c>tenant list</c> and <c>tenant show</c> report it. Its key has a name only.</summary>
internal sealed record TenantReport(
    string Name,
    long Generation,
    string? KeyId,
    long Vms,
    bool RotationPending,
    DateTimeOffset Created,
    DateTimeOffset? KeyCreated,
    IReadOnlyList<TableVmReport>? Running = null)
{
    /// <summary>The report of a tenant.</summary>
    public static TenantReport Of(TenantRecord tenant, IReadOnlyList<TableVmReport>? running = null) =>
        new(tenant.Name, tenant.Generation, tenant.KeyId, tenant.Vms, tenant.RotationPending, tenant.Created, tenant.KeyCreated, running);
}

/// <summary>A VM as the tenant table knows it.</summary>
internal sealed record TableVmReport(
    string Name,
    string Tenant,
    string State,
    string Host,
    string HostName,
    string? Target,
    long Generation,
    bool OlderKey,
    string? InDoubt,
    string Policy,
    string? Release,
    DateTimeOffset Started)
{
    /// <summary>The report of a VM.</summary>
    /// <param name="view">The VM.</param>
    /// <param name="hosts">Hosts' names by identity.</param>
    public static TableVmReport Of(VmView view, IReadOnlyDictionary<string, string> hosts) => new(
        view.Vm.Name,
        view.Vm.Tenant,
        StateOf(view.Vm.Status),
        view.Vm.Host,
        hosts.GetValueOrDefault(view.Vm.Host, view.Vm.Host),
        view.Vm.Target,
        view.Vm.Generation,
        view.OlderKey,
        view.InDoubt,
        view.Vm.Policy.ToString(),
        view.Vm.Release,
        view.Vm.Started);

    private static string StateOf(VmStatus status) => status switch
    {
        VmStatus.Starting => "starting",
        VmStatus.Running => "running",
        VmStatus.Saved => "saved",
        _ => "migrating",
    };
}

/// <summary>A host, as <c>host list</c> reports it.</summary>
internal sealed record HostReport(string Id, string Name, bool Alive, bool This, long Vms, DateTimeOffset Joined);

/// <summary>What <c>host evict</c> settled.</summary>
internal sealed record EvictionReport(string Id, bool Removed, IReadOnlyList<string> Settled);

/// <summary>What <c>store check</c> found.</summary>
internal sealed record StoreReport(string Location, bool Sound, bool Scrubbed, IReadOnlyList<string> Problems);

/// <summary>What <c>store backup</c> wrote.</summary>
internal sealed record BackupReport(string Location, string File, long Bytes);

/// <summary>What <c>tenant remove</c> did.</summary>
internal sealed record RemovalReport(string Name, bool Removed);

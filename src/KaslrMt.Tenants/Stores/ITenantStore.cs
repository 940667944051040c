namespace KaslrMt.Tenants;

/// <summary>
/// Where the table is kept: SQLite for one host, etcd for many. Both apply the same commands by the same rules; each command is one durable
/// transaction, and what it returns has happened.
/// </summary>
public interface ITenantStore : IAsyncDisposable
{
    /// <summary>Where it is, as the command line writes it, without a password.</summary>
    string Location { get; }

    /// <summary>Applies a command.</summary>
    /// <returns>The state afterwards; with the key for a VM that starts. The caller disposes of it.</returns>
    /// <exception cref="KaslrMtException">40xx: the command was refused or the store failed, and nothing changed.</exception>
    Task<Outcome> ApplyAsync(TableCommand command, Actor actor, CancellationToken cancellationToken = default);

    /// <summary>A tenant, or null.</summary>
    Task<TenantRecord?> FindTenantAsync(string name, CancellationToken cancellationToken = default);

    /// <summary>All tenants by name. Memory is bounded: they are read page by page, so a long listing is no snapshot.</summary>
    IAsyncEnumerable<TenantRecord> TenantsAsync(CancellationToken cancellationToken = default);

    /// <summary>A VM, or null.</summary>
    Task<VmRecord?> FindVmAsync(string name, CancellationToken cancellationToken = default);

    /// <summary>All VMs, or a tenant's, by tenant and name; read page by page.</summary>
    IAsyncEnumerable<VmRecord> VmsAsync(string? tenant = null, CancellationToken cancellationToken = default);

    /// <summary>All VMs that are on a host or migrate to it.</summary>
    IAsyncEnumerable<VmRecord> VmsOfHostAsync(string host, CancellationToken cancellationToken = default);

    /// <summary>All hosts.</summary>
    Task<IReadOnlyList<HostRecord>> HostsAsync(CancellationToken cancellationToken = default);

    /// <summary>Registers a host where it is new, and keeps its lease from ending for this long.</summary>
    Task RenewHostAsync(HostIdentity host, TimeSpan lease, Actor actor, CancellationToken cancellationToken = default);

    /// <summary>Forgets a host that has neither a lease nor VMs.</summary>
    Task RemoveHostAsync(string host, Actor actor, CancellationToken cancellationToken = default);

    /// <summary>The audit log after a sequence number, ascending.</summary>
    IAsyncEnumerable<AuditEntry> AuditAsync(long after = 0, CancellationToken cancellationToken = default);

    /// <summary>Removes audit entries before a time.</summary>
    /// <returns>How many.</returns>
    Task<long> TrimAuditAsync(DateTimeOffset before, Actor actor, CancellationToken cancellationToken = default);

    /// <summary>Tells of changes as they come, without end; the first is <see cref="TableChange.Relist"/>.</summary>
    IAsyncEnumerable<TableChange> WatchAsync(CancellationToken cancellationToken = default);

    /// <summary>Seals all keys with the newest key-encryption key, while VMs start and stop.</summary>
    /// <returns>How many keys were sealed anew.</returns>
    Task<long> RewrapAsync(Actor actor, CancellationToken cancellationToken = default);

    /// <summary>Removes what purged keys left behind, as far as the store allows.</summary>
    Task ScrubAsync(CancellationToken cancellationToken = default);

    /// <summary>Checks the store's own integrity: its structure, counts, and that every sealed key opens.</summary>
    /// <returns>What is wrong; empty when all is well.</returns>
    Task<IReadOnlyList<string>> CheckAsync(CancellationToken cancellationToken = default);

    /// <summary>Writes a consistent copy to a new file, mode 0600.</summary>
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.StoreUnable"/>: etcd has snapshots of its own.</exception>
    Task BackupAsync(string path, CancellationToken cancellationToken = default);
}

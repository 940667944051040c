using KaslrMt.Layout;

namespace KaslrMt.Tenants;

/// <summary>
/// A store of the table: SQLite for one host, etcd for many, or one of another program's own. All apply the same commands by the same rules; each command is one
/// durable transaction, done when the call returns.
/// </summary>
/// <remarks>
/// <para>What a store of one's own keeps (a <see cref="TenantStoreRegistry"/> opens it for a table; <see cref="TenantTable.JoinAsync"/> takes an open one):</para>
/// <list type="number">
/// <item>
/// <see cref="ApplyAsync"/> reads the command's slice, asks <see cref="TenantRules.Decide"/>, and writes the decision and its <see cref="AuditEntry.Of"/> in one serializable
/// transaction, however many processes and hosts are at it. A refusal writes nothing, and so does a decision without <see cref="Decision.Changes"/>.
/// </item>
/// <item>
/// Where the decision's effect is <see cref="KeyEffect.Created"/>, the store makes the tenant's key, seals it for the decision's generation (<see cref="KeySealer"/>) and puts
/// <see cref="SealedKey.KeyId"/> into the record. No two tenants have equal fingerprints: it draws again where they would. A key never leaves the process unsealed.
/// </item>
/// <item>Where the effect is <see cref="KeyEffect.Purged"/>, the sealed key is gone when the call returns, as far as the medium allows; <see cref="ScrubAsync"/> does the rest.</item>
/// <item>
/// <see cref="StartVm"/> and <see cref="RestoreVm"/> answer with the tenant's key where the VM's generation is the key's, also when nothing changed: a caller that does not know
/// whether its change arrived asks again.
/// </item>
/// <item>A host's lease is measured by one clock, the store's. Names (<see cref="TableNames"/>) are compared and ordered ordinally.</item>
/// <item>What went wrong is a <see cref="KaslrMtException"/>; a call that was cancelled may have happened.</item>
/// </list>
/// <para>Members may be called by several threads at once.</para>
/// </remarks>
public interface ITenantStore : IAsyncDisposable
{
    /// <summary>Gets the store's location, as the command line writes it, without a password.</summary>
    string Location { get; }

    /// <summary>Applies a command.</summary>
    /// <returns>The state afterwards; with the key for a VM that starts. The caller disposes of it.</returns>
    /// <exception cref="KaslrMtException">40xx: the command was refused or the store failed, and nothing changed.</exception>
    Task<Outcome> ApplyAsync(TableCommand command, Actor actor, CancellationToken cancellationToken = default);

    /// <summary>Returns a tenant, or null where the table has none of that name.</summary>
    Task<TenantRecord?> FindTenantAsync(string name, CancellationToken cancellationToken = default);

    /// <summary>Returns all tenants by name. Memory is bounded: they are read page by page, so a long listing is not a snapshot.</summary>
    IAsyncEnumerable<TenantRecord> TenantsAsync(CancellationToken cancellationToken = default);

    /// <summary>Returns a VM, or null where the table has none of that name.</summary>
    Task<VmRecord?> FindVmAsync(string name, CancellationToken cancellationToken = default);

    /// <summary>Returns all VMs, or a tenant's, by tenant and name; read page by page.</summary>
    IAsyncEnumerable<VmRecord> VmsAsync(string? tenant = null, CancellationToken cancellationToken = default);

    /// <summary>Returns all VMs that are on a host or migrate to it.</summary>
    IAsyncEnumerable<VmRecord> VmsOfHostAsync(string host, CancellationToken cancellationToken = default);

    /// <summary>Returns all hosts.</summary>
    Task<IReadOnlyList<HostRecord>> HostsAsync(CancellationToken cancellationToken = default);

    /// <summary>Registers a host where it is new, and keeps its lease from ending for this long.</summary>
    Task RenewHostAsync(HostIdentity host, TimeSpan lease, Actor actor, CancellationToken cancellationToken = default);

    /// <summary>Forgets a host that has neither a lease nor VMs.</summary>
    Task RemoveHostAsync(string host, Actor actor, CancellationToken cancellationToken = default);

    /// <summary>Returns the audit log after a sequence number, ascending.</summary>
    IAsyncEnumerable<AuditEntry> AuditAsync(long after = 0, CancellationToken cancellationToken = default);

    /// <summary>Removes audit entries before a time.</summary>
    /// <returns>The number of entries removed.</returns>
    Task<long> TrimAuditAsync(DateTimeOffset before, Actor actor, CancellationToken cancellationToken = default);

    /// <summary>Tells of changes as they come, without end; the first is <see cref="TableChange.Relist"/>.</summary>
    IAsyncEnumerable<TableChange> WatchAsync(CancellationToken cancellationToken = default);

    /// <summary>Seals all keys with the newest key-encryption key, while VMs start and stop.</summary>
    /// <returns>The number of keys sealed anew.</returns>
    Task<long> RewrapAsync(Actor actor, CancellationToken cancellationToken = default);

    /// <summary>Removes the traces of purged keys, as far as the store allows.</summary>
    Task ScrubAsync(CancellationToken cancellationToken = default);

    /// <summary>Checks the store's own integrity: its structure, counts, and that every sealed key opens.</summary>
    /// <returns>The faults; empty when all is well.</returns>
    Task<IReadOnlyList<string>> CheckAsync(CancellationToken cancellationToken = default);

    /// <summary>Writes a consistent copy to a new file, mode 0600.</summary>
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.StoreUnable"/>: etcd has snapshots of its own.</exception>
    Task BackupAsync(string path, CancellationToken cancellationToken = default);
}

/// <summary>The outcome of a command.</summary>
/// <param name="Tenant">The tenant afterwards, or null when it was removed.</param>
/// <param name="Vm">The VM afterwards, or null where it was removed.</param>
/// <param name="Key">The effect on the tenant's key.</param>
/// <param name="Changed">False when the state was so already.</param>
/// <param name="TenantKey">The key, for a VM that starts or is restored; else null.</param>
public sealed record Outcome(TenantRecord? Tenant, VmRecord? Vm, KeyEffect Key, bool Changed, TenantKey? TenantKey) : IDisposable
{
    /// <summary>Zeroes the key.</summary>
    public void Dispose() => TenantKey?.Dispose();

    /// <summary>Returns the tenant's and the VM's names; a key is never shown.</summary>
    public override string ToString() => $"{Tenant?.Name}/{Vm?.Name}";
}

/// <summary>A change that a watcher is told of.</summary>
/// <param name="Revision">The store's revision.</param>
/// <param name="Kind">The kind of thing that changed.</param>
/// <param name="Name">The name of the thing that changed; empty for <see cref="TableChangeKind.Relist"/>.</param>
public readonly record struct TableChange(long Revision, TableChangeKind Kind, string Name)
{
    /// <summary>Anything may have changed: list again.</summary>
    public static TableChange Relist(long revision) => new(revision, TableChangeKind.Relist, "");
}

/// <summary>The kind of thing that changed.</summary>
public enum TableChangeKind
{
    /// <summary>Anything may have changed: list again.</summary>
    Relist,

    /// <summary>A tenant.</summary>
    Tenant,

    /// <summary>A VM.</summary>
    Vm,

    /// <summary>A host, or its lease.</summary>
    Host,
}

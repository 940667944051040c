namespace KaslrMt.Tenants.Sqlite;

public sealed partial class SqliteTenantStore
{
    /// <inheritdoc/>
    public Task<IReadOnlyList<HostRecord>> HostsAsync(CancellationToken cancellationToken = default) => Task.FromResult<IReadOnlyList<HostRecord>>(
        Guarded(() => _sql.Hosts.All(row => new HostRecord
        {
            Id = row.Text(0),
            Name = row.Text(1),
            BootId = row.Text(2),
            Alive = row.Long(3) > Now,
            Joined = SqliteRows.Time(row, 4),
        })));

    /// <inheritdoc/>
    public Task RenewHostAsync(HostIdentity host, TimeSpan lease, Actor actor, CancellationToken cancellationToken = default) =>
        Task.FromResult(Guarded(() => InTransaction(() =>
        {
            bool known = _sql.FindLease.First(row => (long?)row.Long(0), host.Id) is not null;
            _sql.PutHost.Run(host.Id, host.Name, host.BootId, Now + (long)lease.TotalMilliseconds, Now);
            if (!known)
            {
                Log(new AuditEntry { At = _hooks.Clock.GetUtcNow(), Actor = actor, Action = "host-join", Host = host.Id, Detail = host.Name });
            }

            return true;
        })));

    /// <inheritdoc/>
    public Task RemoveHostAsync(string host, Actor actor, CancellationToken cancellationToken = default) => Task.FromResult(Guarded(() => InTransaction(() =>
    {
        long? lease = _sql.FindLease.First(row => (long?)row.Long(0), host);
        HostRules.RequireRemovable(host, known: lease is not null, alive: lease > Now, vm: _sql.VmOfHost.First(row => row.Text(0), host));
        _sql.DeleteHost.Run(host);
        Log(new AuditEntry { At = _hooks.Clock.GetUtcNow(), Actor = actor, Action = "host-evict", Host = host });
        return true;
    })));
}

using System.Runtime.CompilerServices;

namespace KaslrMt.Tenants.Sqlite;

public sealed partial class SqliteTenantStore
{
    private const long PageRows = 1000;
    private static readonly TimeSpan WatchInterval = TimeSpan.FromMilliseconds(200);

    /// <inheritdoc/>
    public Task<TenantRecord?> FindTenantAsync(string name, CancellationToken cancellationToken = default) =>
        Task.FromResult<TenantRecord?>(Guarded(() => _sql.FindTenant.First(SqliteRows.Tenant, name).Tenant));

    /// <inheritdoc/>
    public Task<VmRecord?> FindVmAsync(string name, CancellationToken cancellationToken = default) =>
        Task.FromResult(Guarded(() => _sql.FindVm.First(SqliteRows.Vm, name)));

    /// <inheritdoc/>
    public async IAsyncEnumerable<TenantRecord> TenantsAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        string after = "";
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            List<TenantRecord> page = Guarded(() => _sql.TenantPage.All(row => SqliteRows.Tenant(row).Tenant, after, PageRows));
            foreach (TenantRecord tenant in page)
            {
                yield return tenant;
            }

            if (page.Count < PageRows)
            {
                yield break;
            }

            after = page[^1].Name;
            await Task.Yield();
        }
    }

    /// <inheritdoc/>
    public IAsyncEnumerable<VmRecord> VmsAsync(string? tenant = null, CancellationToken cancellationToken = default) => VmPagesAsync(
        (afterTenant, afterName) => tenant is null
            ? _sql.VmPage.All(SqliteRows.Vm, afterTenant, afterName, PageRows)
            : _sql.VmPageOfTenant.All(SqliteRows.Vm, tenant, afterName, PageRows),
        cancellationToken);

    /// <inheritdoc/>
    public IAsyncEnumerable<VmRecord> VmsOfHostAsync(string host, CancellationToken cancellationToken = default) => VmPagesAsync(
        (afterTenant, afterName) => _sql.VmPageOfHost.All(SqliteRows.Vm, host, afterTenant, afterName, PageRows), cancellationToken);

    /// <inheritdoc/>
    public async IAsyncEnumerable<AuditEntry> AuditAsync(long after = 0, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            List<AuditEntry> page = Guarded(() => _sql.AuditPage.All(SqliteRows.Audit, after, PageRows));
            foreach (AuditEntry entry in page)
            {
                yield return entry;
            }

            if (page.Count < PageRows)
            {
                yield break;
            }

            after = page[^1].Sequence;
            await Task.Yield();
        }
    }

    /// <inheritdoc/>
    public Task<long> TrimAuditAsync(DateTimeOffset before, Actor actor, CancellationToken cancellationToken = default) => Task.FromResult(Guarded(() => InTransaction(() =>
    {
        // The entry that tells of it comes first: a log that was emptied would count from 1 again.
        long kept = _sql.FirstAuditSince.First(row => row.Long(0), before.ToUnixTimeMilliseconds());
        long removed = _sql.CountAuditBefore.First(row => row.Long(0), kept);
        Log(AuditEntry.Trimmed(removed, actor, _hooks.Clock.GetUtcNow()));
        _sql.TrimAudit.Run(kept);
        return removed;
    })));

    /// <inheritdoc/>
    public async IAsyncEnumerable<TableChange> WatchAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        // data_version tells of others' commits, total_changes of this connection's own (https://sqlite.org/pragma.html#pragma_data_version).
        (long, long) seen = (-1, -1);
        while (true)
        {
            (long, long) now = Guarded(() => (
                _sql.DataVersion.First(row => row.Long(0)), (long)SQLitePCL.raw.sqlite3_total_changes(_database)));
            if (now != seen)
            {
                seen = now;
                yield return TableChange.Relist(now.Item1);
            }

            await Task.Delay(WatchInterval, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>VMs page by page, each page read after the tenant and name that the last one ended with.</summary>
    private async IAsyncEnumerable<VmRecord> VmPagesAsync(
        Func<string, string, List<VmRecord>> read, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        (string Tenant, string Name) after = ("", "");
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            List<VmRecord> page = Guarded(() => read(after.Tenant, after.Name));
            foreach (VmRecord vm in page)
            {
                yield return vm;
            }

            if (page.Count < PageRows)
            {
                yield break;
            }

            after = (page[^1].Tenant, page[^1].Name);
            await Task.Yield();
        }
    }
}

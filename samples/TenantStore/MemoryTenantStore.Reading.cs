using System.Runtime.CompilerServices;
using KaslrMt.Tenants;

namespace MemoryStore;

public sealed partial class MemoryTenantStore
{
    /// <inheritdoc/>
    public Task<TenantRecord?> FindTenantAsync(string name, CancellationToken cancellationToken = default) => Task.FromResult(Read(() => _table.Tenants.GetValueOrDefault(name)));

    /// <inheritdoc/>
    public Task<VmRecord?> FindVmAsync(string name, CancellationToken cancellationToken = default) => Task.FromResult(Read(() => _table.Vms.GetValueOrDefault(name)));

    /// <inheritdoc/>
    public IAsyncEnumerable<TenantRecord> TenantsAsync(CancellationToken cancellationToken = default) => Read(() => _table.Tenants.Values.ToArray()).ToAsyncEnumerable();

    /// <inheritdoc/>
    public IAsyncEnumerable<VmRecord> VmsAsync(string? tenant = null, CancellationToken cancellationToken = default) => Vms(vm => tenant is null || vm.Tenant == tenant);

    /// <inheritdoc/>
    public IAsyncEnumerable<VmRecord> VmsOfHostAsync(string host, CancellationToken cancellationToken = default) => Vms(vm => vm.Host == host || vm.Target == host);

    /// <inheritdoc/>
    public IAsyncEnumerable<AuditEntry> AuditAsync(long after = 0, CancellationToken cancellationToken = default) =>
        Read(() => _table.Audit.Where(entry => entry.Sequence > after).ToArray()).ToAsyncEnumerable();

    /// <inheritdoc/>
    public Task<IReadOnlyList<HostRecord>> HostsAsync(CancellationToken cancellationToken = default)
    {
        DateTimeOffset now = DateTimeOffset.UtcNow;
        return Task.FromResult<IReadOnlyList<HostRecord>>(Read(() => _table.Hosts.Values.Select(host => new HostRecord
        {
            Id = host.Identity.Id,
            Name = host.Identity.Name,
            BootId = host.Identity.BootId,
            Alive = host.LeaseEnd > now,
            Joined = host.Joined,
        }).ToArray()));
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<TableChange> WatchAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        while (true)
        {
            (long revision, Task changed) = _table.Observe();
            yield return TableChange.Relist(revision);
            await changed.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private IAsyncEnumerable<VmRecord> Vms(Func<VmRecord, bool> wanted) =>
        Read(() => _table.Vms.Values.Where(wanted).OrderBy(vm => vm.Tenant, StringComparer.Ordinal).ThenBy(vm => vm.Name, StringComparer.Ordinal).ToArray()).ToAsyncEnumerable();

    private T Read<T>(Func<T> read)
    {
        lock (_table.Gate)
        {
            return read();
        }
    }
}

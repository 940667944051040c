using System.Globalization;
using KaslrMt;
using KaslrMt.Tenants;

namespace MemoryStore;

public sealed partial class MemoryTenantStore
{
    /// <inheritdoc/>
    public Task RenewHostAsync(HostIdentity host, TimeSpan lease, Actor actor, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(host);
        lock (_table.Gate)
        {
            DateTimeOffset now = DateTimeOffset.UtcNow;
            MemoryHost? known = _table.Hosts.GetValueOrDefault(host.Id);
            _table.Hosts[host.Id] = new MemoryHost(host, known?.Joined ?? now, now + lease);
            if (known is null)
            {
                _table.Commit(new AuditEntry { At = now, Actor = actor, Action = "host-join", Host = host.Id, Detail = host.Name });
            }
        }

        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public Task RemoveHostAsync(string host, Actor actor, CancellationToken cancellationToken = default)
    {
        lock (_table.Gate)
        {
            DateTimeOffset now = DateTimeOffset.UtcNow;
            MemoryHost? known = _table.Hosts.GetValueOrDefault(host);
            string? vm = _table.Vms.Values.FirstOrDefault(vm => vm.Host == host || vm.Target == host)?.Name;
            HostRules.RequireRemovable(host, known is not null, known?.LeaseEnd > now, vm);
            _table.Hosts.Remove(host);
            _table.Commit(new AuditEntry { At = now, Actor = actor, Action = "host-evict", Host = host });
        }

        return Task.CompletedTask;
    }

    /// <inheritdoc/>
    public Task<long> TrimAuditAsync(DateTimeOffset before, Actor actor, CancellationToken cancellationToken = default)
    {
        lock (_table.Gate)
        {
            long removed = _table.Audit.RemoveAll(entry => entry.At < before);
            _table.Commit(AuditEntry.Trimmed(removed, actor, DateTimeOffset.UtcNow));
            return Task.FromResult(removed);
        }
    }

    /// <inheritdoc/>
    public Task<long> RewrapAsync(Actor actor, CancellationToken cancellationToken = default)
    {
        lock (_table.Gate)
        {
            // The file may have a newer key than this connection knows.
            Reload(_table.Seal!);
            if (_table.Seal!.KekVersion != _sealer.NewestVersion)
            {
                _table.Seal = _sealer.Renewed();
                Reload(_table.Seal);
            }

            string[] due = [.. _table.Keys.Where(key => key.Value.KekVersion != _table.Seal.KekVersion).Select(key => key.Key)];
            foreach (string tenant in due)
            {
                _table.Keys[tenant] = _sealer.Rewrap(tenant, _table.Keys[tenant]);
            }

            string detail = string.Create(CultureInfo.InvariantCulture, $"{due.Length} keys under key-encryption key {_table.Seal.KekVersion}");
            _table.Commit(new AuditEntry { At = DateTimeOffset.UtcNow, Actor = actor, Action = "rewrap", Detail = detail });
            return Task.FromResult((long)due.Length);
        }
    }

    /// <inheritdoc/>
    public Task ScrubAsync(CancellationToken cancellationToken = default) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task<IReadOnlyList<string>> CheckAsync(CancellationToken cancellationToken = default)
    {
        List<string> faults = [];
        lock (_table.Gate)
        {
            foreach (TenantRecord tenant in _table.Tenants.Values)
            {
                int vms = _table.Vms.Values.Count(vm => vm.Tenant == tenant.Name);
                if (tenant.Vms != vms || tenant.HasKey != _table.Keys.ContainsKey(tenant.Name) || (tenant.HasKey && vms == 0))
                {
                    faults.Add($"tenant '{tenant.Name}': count {tenant.Vms}, VMs {vms}, key {(_table.Keys.ContainsKey(tenant.Name) ? "present" : "absent")}");
                }
            }

            foreach ((string tenant, SealedKey key) in _table.Keys)
            {
                try
                {
                    OpenKey(tenant, key).Dispose();
                }
                catch (KaslrMtException error)
                {
                    faults.Add($"tenant '{tenant}': {error.Code}: {error.Problem}");
                }
            }
        }

        return Task.FromResult<IReadOnlyList<string>>(faults);
    }

    /// <inheritdoc/>
    public Task BackupAsync(string path, CancellationToken cancellationToken = default) =>
        throw new KaslrMtException(TenantErrors.StoreUnable, "a table in memory has no backup", "use another kind of store for a table that must last");
}

using System.Globalization;

namespace KaslrMt.Tenants;

/// <summary>
/// Replays the audit log and reports where it breaks a rule that always holds. It shares no code with the rules that made the log:
/// one key for a tenant at a time, no key shared by tenants, no key changed under a running VM, none left behind.
/// </summary>
/// <remarks>Memory: the VMs and keys alive at a time, and 100 bytes for each key ever made.</remarks>
public sealed class HistoryCheck
{
    private const int MaximumFaults = 1000;

    private readonly Dictionary<string, Tenant> _tenants = [];
    private readonly Dictionary<string, string> _tenantOfVm = [];
    private readonly Dictionary<string, string> _tenantOfKey = [];
    private readonly List<string> _faults = [];
    private bool _partial;

    /// <summary>Gets the faults so far.</summary>
    public IReadOnlyList<string> Faults => _faults;

    /// <summary>Replays a store's log and compares its outcome with the store's records. Nothing may change meanwhile.</summary>
    public static async Task<IReadOnlyList<string>> RunAsync(ITenantStore store, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        var check = new HistoryCheck();
        await foreach (AuditEntry entry in store.AuditAsync(0, cancellationToken).ConfigureAwait(false))
        {
            check._partial |= entry.Action == "audit-trim";
        }

        await foreach (AuditEntry entry in store.AuditAsync(0, cancellationToken).ConfigureAwait(false))
        {
            check.Add(entry);
        }

        List<TenantRecord> tenants = [];
        await foreach (TenantRecord tenant in store.TenantsAsync(cancellationToken).ConfigureAwait(false))
        {
            tenants.Add(tenant);
        }

        List<VmRecord> vms = [];
        await foreach (VmRecord vm in store.VmsAsync(null, cancellationToken).ConfigureAwait(false))
        {
            vms.Add(vm);
        }

        check.Finish(tenants, vms);
        return check.Faults;
    }

    /// <summary>Replays one entry; they come in the order of their sequence.</summary>
    public void Add(AuditEntry entry)
    {
        ArgumentNullException.ThrowIfNull(entry);
        if (entry.Tenant is not { } name || _faults.Count >= MaximumFaults)
        {
            return;
        }

        if (!_tenants.TryGetValue(name, out Tenant? tenant))
        {
            _tenants.Add(name, tenant = new Tenant());
            if (_partial)
            {
                // Where the log's beginning was trimmed, the first entry of a tenant tells what held before it.
                tenant.KeyId = entry.Key == KeyEffect.Created ? null : entry.KeyId;
            }
        }

        switch (entry.Action)
        {
            case "start":
                Begin(entry, tenant);
                Appear(entry, tenant);
                break;
            case "reattach":
                Appear(entry, tenant);
                break;
            case "stop" or "evict":
                Disappear(entry, tenant);
                break;
            case "remove":
                Expect(tenant.Vms.Count == 0 && tenant.KeyId is null, entry, "a tenant was removed that had VMs or a key");
                _tenants.Remove(name);
                break;
            case "rotate":
                break;
            default:
                Expect(_partial || tenant.Vms.ContainsKey(entry.Vm ?? ""), entry, "something happened to a VM that was not alive");
                break;
        }

        Expect(entry.Key == KeyEffect.None || entry.Action is "start" or "stop" or "evict", entry, "a key changed where none may");
        if (entry.Action is not "remove" && entry.Key == KeyEffect.None)
        {
            Expect(entry.KeyId == tenant.KeyId, entry, "the tenant's key changed without a word");
        }
    }

    /// <summary>Compares the log's outcome with the store's records.</summary>
    public void Finish(IReadOnlyCollection<TenantRecord> tenants, IReadOnlyCollection<VmRecord> vms)
    {
        ArgumentNullException.ThrowIfNull(tenants);
        ArgumentNullException.ThrowIfNull(vms);
        Dictionary<string, int> counts = vms.CountBy(vm => vm.Tenant).ToDictionary();
        foreach (TenantRecord tenant in tenants)
        {
            int alive = counts.GetValueOrDefault(tenant.Name);
            Expect(tenant.Vms == alive, $"tenant '{tenant.Name}' counts {tenant.Vms} VMs and has {alive}");
            Expect(alive > 0 || !tenant.HasKey, $"tenant '{tenant.Name}' has a key and no VM: it was left behind");
            if (_tenants.TryGetValue(tenant.Name, out Tenant? replayed))
            {
                Expect(replayed.KeyId == tenant.KeyId, $"tenant '{tenant.Name}' has another key than the log says");
            }
            else
            {
                Expect(_partial, $"tenant '{tenant.Name}' is not in the log");
            }
        }

        foreach (VmRecord vm in vms)
        {
            bool known = _tenantOfVm.Remove(vm.Name, out string? owner);
            Expect(known ? owner == vm.Tenant : _partial, $"VM '{vm.Name}' of tenant '{vm.Tenant}' is not alive in the log");
        }

        foreach ((string vm, string owner) in _tenantOfVm)
        {
            Expect(false, $"VM '{vm}' of tenant '{owner}' is alive in the log and has no record");
        }
    }

    private void Begin(AuditEntry entry, Tenant tenant)
    {
        if (entry.Key == KeyEffect.Created)
        {
            Expect(tenant.KeyId is null, entry, "a key was made while there was one");
            Expect(tenant.Vms.Values.All(stale => stale), entry, "a key was made under a running VM");
            Expect(entry.Generation > tenant.Generation, entry, "a new key's generation is not above the last");
            bool unique = entry.KeyId is { } id && _tenantOfKey.TryAdd(id, entry.Tenant!);
            Expect(unique, entry, "a key was had before, by this tenant or another");
            tenant.KeyId = entry.KeyId;
            tenant.Generation = entry.Generation;
        }
        else
        {
            Expect(entry.KeyId is not null && entry.KeyId == tenant.KeyId, entry, "a VM started under another key than its tenant's");
            Expect(_partial || entry.Generation == tenant.Generation, entry, "a VM started under another generation than its tenant's");
        }
    }

    private void Appear(AuditEntry entry, Tenant tenant)
    {
        string vm = entry.Vm ?? "";
        Expect(_tenantOfVm.TryAdd(vm, entry.Tenant!), entry, "a VM started that was alive");
        tenant.Vms[vm] = entry.Action == "reattach" && (tenant.KeyId is null || entry.Generation != tenant.Generation);
        tenant.Generation = entry.Action == "reattach" && tenant.KeyId is not null ? tenant.Generation : Math.Max(tenant.Generation, entry.Generation);
    }

    private void Disappear(AuditEntry entry, Tenant tenant)
    {
        bool known = tenant.Vms.Remove(entry.Vm ?? "") && _tenantOfVm.Remove(entry.Vm ?? "");
        Expect(known || _partial, entry, "a VM stopped that was not alive");
        if (entry.Key == KeyEffect.Purged)
        {
            Expect(tenant.Vms.Count == 0, entry, "a key was purged under a running VM");
            Expect(entry.KeyId == tenant.KeyId, entry, "another key was purged than the tenant's");
            tenant.KeyId = null;
        }
        else
        {
            Expect(_partial || tenant.Vms.Count > 0 || tenant.KeyId is null, entry, "the last VM stopped and the key stayed");
        }
    }

    private void Expect(bool holds, AuditEntry entry, string fault)
    {
        if (!holds)
        {
            _faults.Add(string.Create(
                CultureInfo.InvariantCulture, $"audit entry {entry.Sequence} ({entry.Action} of VM '{entry.Vm}', tenant '{entry.Tenant}'): {fault}"));
        }
    }

    private void Expect(bool holds, string fault)
    {
        if (!holds)
        {
            _faults.Add(fault);
        }
    }

    private sealed class Tenant
    {
        internal string? KeyId { get; set; }

        internal long Generation { get; set; }

        /// <summary>Gets the VMs alive; true for one that came back after its key was purged.</summary>
        internal Dictionary<string, bool> Vms { get; } = [];
    }
}

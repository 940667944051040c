using System.Globalization;

namespace KaslrMt.Tenants.Etcd;

public sealed partial class EtcdTenantStore
{
    /// <inheritdoc/>
    public async Task<IReadOnlyList<string>> CheckAsync(CancellationToken cancellationToken = default)
    {
        // All at one revision: what is compared belongs to one moment.
        EtcdAnswer now = await _client.TransactAsync(new EtcdTransaction().Read(_keys.Seal), cancellationToken).ConfigureAwait(false);
        StoreSeal seal = ReadSeal(now.One(0));
        List<string> faults = [];
        Dictionary<string, long> alive = [];
        HashSet<string> onHosts = [];
        await foreach (EtcdPair pair in PagesAsync(_keys.Vms, now.Revision, cancellationToken).ConfigureAwait(false))
        {
            VmRecord vm = pair.Read(EtcdJson.Default.VmRecord)!;
            alive[vm.Tenant] = alive.GetValueOrDefault(vm.Tenant) + 1;
            Expect(pair.Key == _keys.Vm(vm.Tenant, vm.Name), $"VM '{vm.Name}' of tenant '{vm.Tenant}' is stored under another name");
            onHosts.UnionWith(_keys.HostVms(vm));
        }

        await foreach (EtcdPair pair in PagesAsync(_keys.AllHostVms, now.Revision, cancellationToken).ConfigureAwait(false))
        {
            Expect(onHosts.Remove(pair.Key), $"a host's list has a VM that is not there: {pair.Key}");
        }

        faults.AddRange(onHosts.Select(key => $"a host's list lacks a VM: {key}"));

        Dictionary<string, SealedKey> keys = [];
        await foreach (EtcdPair pair in PagesAsync(_keys.Keys, now.Revision, cancellationToken).ConfigureAwait(false))
        {
            keys.Add(pair.Key[_keys.Keys.Length..], pair.Read(EtcdJson.Default.SealedKey)!);
        }

        await foreach (EtcdPair pair in PagesAsync(_keys.Tenants, now.Revision, cancellationToken).ConfigureAwait(false))
        {
            TenantRecord tenant = pair.Read(EtcdJson.Default.TenantRecord)!;
            alive.Remove(tenant.Name, out long vms);
            keys.Remove(tenant.Name, out SealedKey? key);
            string name = string.Create(CultureInfo.InvariantCulture, $"tenant '{tenant.Name}': count {tenant.Vms}, VMs {vms}");
            Expect(tenant.Vms == vms, name);
            Expect(key?.KeyId == tenant.KeyId && (key is null || (vms > 0 && key.Generation == tenant.Generation)), $"{name}, key {(key is null ? "absent" : "present")}");
            try
            {
                (key is null ? null : OpenKey(tenant.Name, key, seal))?.Dispose();
            }
            catch (KaslrMtException error)
            {
                faults.Add($"tenant '{tenant.Name}': {error.Code}: {error.Problem}");
            }
        }

        faults.AddRange(alive.Keys.Select(tenant => $"tenant '{tenant}' is missing and has VMs"));
        faults.AddRange(keys.Keys.Select(tenant => $"a key is left behind: its tenant '{tenant}' is missing"));
        return faults;

        void Expect(bool holds, string fault)
        {
            if (!holds)
            {
                faults.Add(fault);
            }
        }
    }

    /// <inheritdoc/>
    public Task BackupAsync(string path, CancellationToken cancellationToken = default) => Task.FromException(new KaslrMtException(
        TenantErrors.StoreUnable, "an etcd store is not backed up by kaslrmt", "use 'etcdctl snapshot save', and keep the file of key-encryption keys elsewhere"));
}

using System.Globalization;

namespace KaslrMt.Tenants.Etcd;

/// <summary>The names of the table's keys in etcd. Names are ASCII without slashes, so parts cannot be confused.</summary>
internal sealed record EtcdKeys(string Prefix)
{
    /// <summary>Gets the beginning of all keys.</summary>
    internal string All => $"{Prefix}/";

    internal string Seal => $"{Prefix}/seal";

    internal string Tenants => $"{Prefix}/tenants/";

    internal string Keys => $"{Prefix}/keys/";

    internal string Vms => $"{Prefix}/vms/";

    internal string Hosts => $"{Prefix}/hosts/";

    internal string Leases => $"{Prefix}/leases/";

    internal string AllHostVms => $"{Prefix}/host-vms/";

    internal string Audit => $"{Prefix}/audit/";

    internal string Tenant(string tenant) => $"{Tenants}{tenant}";

    internal string Key(string tenant) => $"{Keys}{tenant}";

    /// <summary>Exists while a key with this fingerprint does: no two tenants can have the same.</summary>
    internal string Fingerprint(SealedKey key) => $"{Prefix}/fingerprints/{Convert.ToHexStringLower(key.Fingerprint)}";

    internal string VmsOf(string tenant) => $"{Vms}{tenant}/";

    internal string Vm(string tenant, string vm) => $"{Vms}{tenant}/{vm}";

    /// <summary>Holds the VM's tenant: names are unique in the whole table.</summary>
    internal string Name(string vm) => $"{Prefix}/names/{vm}";

    internal string HostVmsOf(string host) => $"{AllHostVms}{host}/";

    /// <summary>Exists while the VM is on the host or migrates to it, and holds its tenant: a host's VMs are found without reading all.</summary>
    internal string HostVm(string host, string vm) => $"{HostVmsOf(host)}{vm}";

    /// <summary>Returns all keys of this kind that a VM has.</summary>
    internal IEnumerable<string> HostVms(VmRecord? vm) => vm is null
        ? []
        : vm.Target is { } target && target != vm.Host ? [HostVm(vm.Host, vm.Name), HostVm(target, vm.Name)] : [HostVm(vm.Host, vm.Name)];

    internal string Host(string host) => $"{Hosts}{host}";

    /// <summary>Exists while the host's lease does.</summary>
    internal string Lease(string host) => $"{Leases}{host}";

    internal string NewAudit(DateTimeOffset at) =>
        string.Create(CultureInfo.InvariantCulture, $"{Audit}{at.ToUnixTimeMilliseconds():D15}-{Guid.NewGuid():N}");
}

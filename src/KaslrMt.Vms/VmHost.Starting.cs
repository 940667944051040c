using KaslrMt.Hypervisors;
using KaslrMt.Tenants;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace KaslrMt.Vms;

/// <remarks>
/// The entry for programs that run VMs themselves: open a host, describe a VM (<see cref="VmSpec.Create"/>), start it. Such a VM lives in this process and needs no agent;
/// it is listed by <c>kaslrmt ps</c>, and ends with this process, however that ends. Several threads may use a host. It is disposed of after its VMs.
/// </remarks>
public sealed partial class VmHost
{
    /// <summary>Opens this host, and removes what owners that were killed left in the runtime directory.</summary>
    /// <param name="runtimeDirectory">The absolute path of the runtime directory; null for the standard one (<see cref="RuntimeDirectory.Open()"/>).</param>
    /// <param name="stores">The kinds of stores that tenant tables may be in; null for the built-in ones.</param>
    /// <param name="log">Takes what happens to the VMs, a line each; null for none.</param>
    /// <exception cref="KaslrMtException">The runtime directory is not private, or cannot be made.</exception>
    public static VmHost Open(string? runtimeDirectory = null, TenantStoreRegistry? stores = null, ILogger? log = null)
    {
        RuntimeDirectory runtime = runtimeDirectory is null ? RuntimeDirectory.Open() : RuntimeDirectory.Open(runtimeDirectory);
        runtime.Sweep();
        log ??= NullLogger.Instance;
        return new VmHost(runtime, log) { Tables = new HostTables(log) { Stores = stores ?? TenantStoreRegistry.BuiltIn } };
    }

    /// <summary>Boots a VM: its key is taken from the tenant table where it is in one, its layout is chosen, its kernel is placed, its memory is compared with the layout.</summary>
    /// <param name="spec">The VM.</param>
    /// <param name="secrets">A tenant key, for a VM that is in no table, and a seed for repeatable bases; the VM owns them from here on. Null for none.</param>
    /// <param name="cancellationToken">Gives up and ends the VM; nothing of it is left.</param>
    /// <returns>The VM: verified if <see cref="VmSpec.Verify"/> asks for it (<see cref="LocalVm.Verified"/> tells), else as soon as its hypervisor runs.</returns>
    /// <exception cref="KaslrMtException">
    /// The specification is wrong, the name is in use, the table refuses, the kernel cannot be given a layout, the hypervisor fails; <see cref="VmErrors.Ended"/>: the VM
    /// ended before it ran.
    /// </exception>
    public Task<LocalVm> StartAsync(VmSpec spec, VmSecrets? secrets = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(spec);
        return LocalVm.StartAsync(this, spec, secrets ?? VmSecrets.None, cancellationToken);
    }
}

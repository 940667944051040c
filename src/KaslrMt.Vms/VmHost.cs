using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Vms.Workers;
using Microsoft.Extensions.Logging;

namespace KaslrMt.Vms;

/// <summary>What all VMs of one process share: where running VMs are kept, the tables that are open, prepared kernels.</summary>
public sealed partial class VmHost : IAsyncDisposable
{
    /// <summary>Opens the host of a runtime directory.</summary>
    /// <param name="runtime">Where running VMs are kept.</param>
    /// <param name="log">Takes what concerns no single VM.</param>
    internal VmHost(RuntimeDirectory runtime, ILogger log)
    {
        Runtime = runtime;
        Log = log;
        Tables = new HostTables(log);
    }

    /// <summary>Where running VMs are kept.</summary>
    public RuntimeDirectory Runtime { get; }

    /// <summary>Takes what concerns no single VM, and what a VM's own log does not outlast.</summary>
    internal ILogger Log { get; }

    /// <summary>How kernel files are understood: by a process without rights; null for this process, which has no more rights than its caller.</summary>
    internal WorkerSettings? Worker { get; init; }

    /// <summary>Whether each VM's hypervisor is put into a systemd scope of its own, so that this process's unit does not take it along.</summary>
    internal bool UsesScopes { get; init; }

    /// <summary>The tenant tables that VMs of this process are in.</summary>
    internal HostTables Tables { get; private init; }

    /// <summary>Opens the cache of prepared kernels.</summary>
    /// <param name="spec">The VM; null is returned where it uses none.</param>
    internal ImageCache? CacheFor(VmSpec spec) => spec.UseCache ? CacheLocation.Open(Runtime) : null;

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => Tables.DisposeAsync();
}

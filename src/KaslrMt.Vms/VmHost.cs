using KaslrMt.Hypervisors;
using KaslrMt.Vms.Workers;
using Microsoft.Extensions.Logging;

namespace KaslrMt.Vms;

/// <summary>What all VMs of one process share: where running VMs are kept, the tables that are open, prepared kernels.</summary>
public sealed partial class VmHost : IAsyncDisposable
{
    private readonly Lock _opening = new();
    private PreparedKernels? _kernels;
    private PreparedKernels? _kernelsWithoutCache;

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

    /// <summary>Gets the prepared kernels that a VM boots.</summary>
    /// <param name="spec">The VM: it may use the cache on disk or not.</param>
    /// <exception cref="KaslrMtException">KMT2601, KMT2603: the cache cannot be used.</exception>
    internal PreparedKernels KernelsFor(VmSpec spec)
    {
        lock (_opening)
        {
            return spec.UseCache ? _kernels ??= new PreparedKernels(CacheLocation.Open(), Worker) : _kernelsWithoutCache ??= new PreparedKernels(null, Worker);
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _kernels?.Dispose();
        _kernelsWithoutCache?.Dispose();
        return Tables.DisposeAsync();
    }
}

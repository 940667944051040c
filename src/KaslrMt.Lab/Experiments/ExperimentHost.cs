using KaslrMt.Hypervisors;
using KaslrMt.Sharing;
using KaslrMt.Vms;

namespace KaslrMt.Lab.Experiments;

/// <summary>What the guests of an experiment run on.</summary>
/// <param name="Runtime">Where their folders are, as all VMs' are: whoever looks next cleans up after a killed experiment.</param>
/// <param name="Kernels">Prepared kernels.</param>
/// <param name="Accelerator">What executes them.</param>
/// <param name="BootLimit">How long a guest may take to settle.</param>
internal sealed record ExperimentHost(RuntimeDirectory Runtime, PreparedKernels Kernels, AcceleratorChoice Accelerator, TimeSpan BootLimit)
{
    /// <summary>Gets what this program keeps in files in memory.</summary>
    public long FilesInMemory => HostCost.FilesIn(Runtime.Path) + HostCost.FilesIn(CacheLocation.Folder);

    /// <summary>This machine; guests that a killed experiment left are ended first.</summary>
    /// <exception cref="KaslrMtException">Errors of the runtime directory and the cache.</exception>
    public static ExperimentHost Open(TimeSpan bootLimit)
    {
        RuntimeDirectory runtime = RuntimeDirectory.Open();
        runtime.Sweep();
        return new ExperimentHost(runtime, new PreparedKernels(CacheLocation.Open()), AcceleratorChoice.Decide(Hypervisors.Accelerator.Auto), bootLimit);
    }
}

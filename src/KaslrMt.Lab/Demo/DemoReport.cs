using KaslrMt.Sharing;

namespace KaslrMt.Lab.Demo;

/// <summary>What the demonstration found, kernel by kernel.</summary>
/// <param name="Ok">Whether every base is as intended, and shared just where it must be.</param>
/// <param name="Accelerator">What executed the guests.</param>
/// <param name="Kernels">The kernels.</param>
/// <param name="KsmUnused">Why the host's KSM did not merge the VMs; null when it did.</param>
internal sealed record DemoReport(bool Ok, string Accelerator, IReadOnlyList<DemoReport.KernelRow> Kernels, string? KsmUnused)
{
    /// <summary>A pair of one tenant's VMs.</summary>
    public const string OneTenant = "one tenant's";

    /// <summary>A pair of which each has its own tenant.</summary>
    public const string TwoTenants = "two tenants'";

    /// <summary>A pair with the kernel's own KASLR.</summary>
    public const string Stock = "stock KASLR";

    /// <summary>A pair without any.</summary>
    public const string Off = "without KASLR";

    /// <summary>One kernel: its VMs, what became of the promise of the policy, and what pairs of VMs share.</summary>
    internal sealed record KernelRow(string Name, string Release, string Policy, bool Ok, IReadOnlyList<VmRow> Vms, IReadOnlyList<PairRow> Pairs);

    /// <summary>Two VMs of one kernel: the share, 0 to 1, of a VM's pages whose content the other has too, in the same class.</summary>
    /// <param name="Vms">Whose they are.</param>
    /// <param name="KernelCode">Of the kernel's code.</param>
    /// <param name="KernelData">Of its data.</param>
    /// <param name="Modules">Of modules' code and data.</param>
    /// <param name="Vmemmap">Of the memory map.</param>
    /// <param name="Kernel">Of the paper's six regions together.</param>
    /// <param name="ResidentBytes">What the host held for both VMs' RAM before KSM; null where it was left alone.</param>
    /// <param name="HeldBytes">What it holds when KSM has merged what it can.</param>
    /// <param name="Cost">What both cost the host then, all in; null where KSM was left alone.</param>
    internal sealed record PairRow(
        string Vms, double KernelCode, double KernelData, double Modules, double Vmemmap, double Kernel, long? ResidentBytes, long? HeldBytes, HostCost? Cost);

    /// <summary>One VM: its six bases from three sides, and how long each step took.</summary>
    internal sealed record VmRow(string Tenant, string Name, IReadOnlyList<BaseRow> Regions, string? ModuleAddress, StepTimes Milliseconds);

    /// <summary>One base: as the host intended it, as the guest itself sees it, as its memory shows it from outside.</summary>
    /// <param name="Region">The region's name.</param>
    /// <param name="Scope">per-vm or per-tenant.</param>
    /// <param name="Intended">What the host chose.</param>
    /// <param name="Guest">From the guest's /proc/iomem, /proc/kallsyms and /proc/kcore; null where the guest cannot see it (modules).</param>
    /// <param name="Memory">From the guest's page tables and variables; null where the kernel has not drawn it.</param>
    internal sealed record BaseRow(string Region, string Scope, string Intended, string? Guest, string? Memory)
    {
        /// <summary>Whether all sides agree.</summary>
        public bool Agrees => (Guest ?? Intended) == Intended && Memory == Intended;
    }

    /// <summary>How long each step took.</summary>
    /// <param name="Image">Kernel file to bootable image.</param>
    /// <param name="ImageCached">Whether the prepared kernel came from the cache.</param>
    /// <param name="Start">QEMU's start until its monitor answers.</param>
    /// <param name="Boot">From there until the guest's init has run.</param>
    /// <param name="Observe">Reading the layout out of the guest's memory.</param>
    internal sealed record StepTimes(double Image, bool ImageCached, double Start, double Boot, double Observe);
}

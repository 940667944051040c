namespace KaslrMt.Cli.Demo;

/// <summary>What the demonstration found, kernel by kernel.</summary>
internal sealed record DemoReport(bool Ok, string Accelerator, IReadOnlyList<DemoReport.KernelRow> Kernels)
{
    /// <summary>One kernel: its VMs, and what became of the promise of the policy.</summary>
    internal sealed record KernelRow(string Name, string Release, string Policy, bool Ok, IReadOnlyList<VmRow> Vms);

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
    /// <param name="QemuStart">QEMU's start until its monitor answers.</param>
    /// <param name="Boot">From there until the guest's init has run.</param>
    /// <param name="Observe">Reading the layout out of the guest's memory.</param>
    internal sealed record StepTimes(double Image, bool ImageCached, double QemuStart, double Boot, double Observe);
}

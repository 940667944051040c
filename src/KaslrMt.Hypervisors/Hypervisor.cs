namespace KaslrMt.Hypervisors;

/// <summary>The hypervisors this program knows.</summary>
public static class Hypervisor
{
    /// <summary>Gets the hypervisor that VMs run on unless their owner chooses another one: QEMU.</summary>
    public static IHypervisor Default { get; } = new QemuHypervisor();
}

namespace KaslrMt.Guests;

/// <summary>The six bases as a running guest's memory shows them. A secret of that VM.</summary>
/// <param name="KernelPhysical">Where the kernel's first page maps to.</param>
/// <param name="KernelVirtual">The lowest mapped address of the kernel's text mapping.</param>
/// <param name="Physmap">The first address of the direct map less what it maps to.</param>
/// <param name="Vmalloc">The kernel's <c>vmalloc_base</c>.</param>
/// <param name="Vmemmap">The first mapped address behind vmalloc: <c>struct page</c> number 0.</param>
/// <param name="Modules">The first address modules may use; null while the kernel has not drawn it (before 6.10: until the first module is loaded).</param>
public readonly record struct ObservedLayout(
    PhysicalAddress KernelPhysical,
    VirtualAddress KernelVirtual,
    VirtualAddress Physmap,
    VirtualAddress Vmalloc,
    VirtualAddress Vmemmap,
    VirtualAddress? Modules)
{
    /// <summary>Shows nothing: the bases are secrets of a running VM.</summary>
    public override string ToString() => nameof(ObservedLayout);
}

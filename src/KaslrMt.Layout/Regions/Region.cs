namespace KaslrMt.Layout;

/// <summary>
/// One of the six bases that KASLR randomizes. The number is the region's bit in a <see cref="Policy"/>, counted from the right.
/// </summary>
public enum Region
{
    /// <summary>Where in guest-physical memory the kernel lies.</summary>
    KernelPhysical = 0,

    /// <summary>Where the kernel's text is mapped: the run-time address of <c>_text</c>.</summary>
    KernelVirtual = 1,

    /// <summary>The direct map of all physical memory (<c>page_offset_base</c>).</summary>
    Physmap = 2,

    /// <summary>vmalloc and ioremap (<c>vmalloc_base</c>).</summary>
    Vmalloc = 3,

    /// <summary>The array of <c>struct page</c> (<c>vmemmap_base</c>).</summary>
    Vmemmap = 4,

    /// <summary>The first address that loadable modules may use.</summary>
    Modules = 5,
}

namespace KaslrMt.Guests;

/// <summary>What a page of a guest's RAM holds. The first six are the paper's (section 5), as its tables name them.</summary>
public enum PageClass : byte
{
    /// <summary>The kernel's code: <c>_text</c> to <c>_etext</c>.</summary>
    KernelCode,

    /// <summary>The kernel's data: all of its image behind the code (read-only data, data, bss), and the processors' own copies of per-CPU data.</summary>
    KernelData,

    /// <summary>Modules' code, and whatever else is executable where modules lie (BPF programs, trampolines).</summary>
    ModuleCode,

    /// <summary>Modules' data.</summary>
    ModuleData,

    /// <summary>Mapped in the vmalloc region: kernel stacks, large tables, per-CPU memory.</summary>
    Vmalloc,

    /// <summary>The array of <c>struct page</c>.</summary>
    Vmemmap,

    /// <summary>Page tables, the kernel's and those of processes.</summary>
    PageTable,

    /// <summary>The kernel's small objects.</summary>
    Slab,

    /// <summary>Files' content, shared memory and tmpfs included.</summary>
    PageCache,

    /// <summary>Processes' own memory.</summary>
    User,

    /// <summary>Free.</summary>
    Free,

    /// <summary>Reserved at boot and never given to the allocator, by the firmware or the kernel; and RAM that the kernel does not know of.</summary>
    Reserved,

    /// <summary>Other pages that the kernel allocated for itself.</summary>
    OtherKernel,
}

namespace KaslrMt.Kernels;

/// <summary>The symbols the boot patch stands on, by their link addresses.</summary>
/// <remarks>All are looked up in one pass over the kernel's kallsyms. Which of them must exist depends on the kernel's age.</remarks>
internal static class BootSymbols
{
    public const string SetupArch = "setup_arch";
    public const string KernelRandomizeMemory = "kernel_randomize_memory";
    public const string PageOffsetBase = "page_offset_base";
    public const string VmallocBase = "vmalloc_base";
    public const string VmemmapBase = "vmemmap_base";

    /// <summary>The end of the direct map: absent before its fix was backported (2024), renamed in 6.13.</summary>
    public static readonly string[] DirectMapEnds = ["direct_map_physmem_end", "physmem_end"];

    /// <summary>A function of every kernel with loadable modules (<c>kernel/module/main.c</c>), and of no other.</summary>
    public const string LoadableModules = "__module_address";

    /// <summary>The functions that draw the module offset: from 6.10 on, before it.</summary>
    public static readonly string[] ModuleOffsetFunctions = ["execmem_arch_setup", "module_alloc", "get_module_load_offset"];

    /// <summary>What they may draw it with.</summary>
    public static readonly string[] RandomFunctions = ["get_random_u16", "get_random_u32", "__get_random_u32_below", "get_random_int"];

    /// <summary>Marks of kernels whose regions cannot move.</summary>
    public static readonly string[] FixedRegionMarks = ["kasan_early_init"];

    /// <summary>Every name above.</summary>
    public static readonly string[] All =
    [
        SetupArch, KernelRandomizeMemory, PageOffsetBase, VmallocBase, VmemmapBase, LoadableModules,
        .. DirectMapEnds, .. ModuleOffsetFunctions, .. RandomFunctions, .. FixedRegionMarks,
    ];

    /// <summary>Those of the names that the kernel has, by link address.</summary>
    public static IReadOnlyDictionary<string, VirtualAddress> FindIn(Kallsyms symbols)
    {
        symbols.TryResolve(All, out VirtualAddress?[] addresses);
        var found = new Dictionary<string, VirtualAddress>(All.Length);
        for (int i = 0; i < All.Length; i++)
        {
            if (addresses[i] is VirtualAddress address)
            {
                found[All[i]] = address;
            }
        }

        return found;
    }
}

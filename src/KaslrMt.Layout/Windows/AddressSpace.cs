namespace KaslrMt.Layout;

/// <summary>The kernel's half of the x86-64 address space with 4-level paging, and how this project divides it.</summary>
/// <remarks>
/// <para>
/// physmap, vmalloc and vmemmap share the 117.5 TiB from <see cref="Start"/> to <see cref="End"/>, in this order
/// (<c>arch/x86/mm/kaslr.c</c> keeps it, and code in the kernel relies on it). The stock kernel draws physmap first and adds the others'
/// offsets up, so its vmemmap depends on everything below it. Here the draw goes from the top down, because vmemmap is what
/// tenants want to share (the paper's section 5.6) and physmap what they need not:
/// </para>
/// <list type="number">
/// <item>vmemmap: 32,768 slots (15 bits) under the end. They depend on nothing else: no memory size, no other region, no kernel.</item>
/// <item>vmalloc: from 32 TiB above the start up to where 32 TiB and a guard still end below vmemmap; 20,992 to 53,759
/// slots (≥ 14.3 bits).</item>
/// <item>physmap: from the start up to where the direct map and a guard still end below vmalloc; up to 1 TiB of RAM
/// at least 21,504 slots (≥ 14.3 bits).</item>
/// </list>
/// <para>
/// Each draw is uniform in its window given the earlier ones, so a region keeps these bits even from somebody who knows the others.
/// Where a per-tenant region would be bounded by a per-VM one, the lowest base that the other can take bounds it instead: a tenant's
/// bases never depend on a VM's.
/// </para>
/// <para>
/// The room comes from the direct map: stock reserves 64 TiB for it under CONFIG_ZONE_DEVICE, this project what the RAM needs and
/// 10 TiB for hotplug and devices (the default of CONFIG_RANDOMIZE_MEMORY_PHYSICAL_PADDING).
/// </para>
/// </remarks>
public static class AddressSpace
{
    /// <summary>Lowest base of physmap, and its base under <c>nokaslr</c> (<c>__PAGE_OFFSET_BASE_L4</c>).</summary>
    public static readonly VirtualAddress Start = new(0xffff888000000000);

    /// <summary>Where the three regions must have ended (<c>CPU_ENTRY_AREA_BASE</c>).</summary>
    public static readonly VirtualAddress End = new(0xfffffe0000000000);

    /// <summary>Where vmalloc begins under <c>nokaslr</c> (<c>__VMALLOC_BASE_L4</c>).</summary>
    public static readonly VirtualAddress LinkVmalloc = new(0xffffc90000000000);

    /// <summary>Where vmemmap begins under <c>nokaslr</c> (<c>__VMEMMAP_BASE_L4</c>).</summary>
    public static readonly VirtualAddress LinkVmemmap = new(0xffffea0000000000);

    /// <summary>Start of the kernel's own mapping (<c>__START_KERNEL_map</c>).</summary>
    public static readonly VirtualAddress KernelMap = new(0xffffffff80000000);

    /// <summary>
    /// Alignment of physmap, vmalloc and vmemmap: what one entry of the third-level page table maps, as in the stock kernel.
    /// </summary>
    public const uint RegionAlignment = (uint)ByteSize.GiB;

    /// <summary>Bytes that stay unmapped between two regions, at least.</summary>
    public const ulong Guard = ByteSize.GiB;

    /// <summary>Bytes of vmalloc (<c>VMALLOC_SIZE_TB_L4</c>).</summary>
    public const ulong VmallocSize = 32 * ByteSize.TiB;

    /// <summary>Bytes reserved for vmemmap: 64 for each page of a direct map of 64 TiB.</summary>
    public const ulong VmemmapSize = ByteSize.TiB;

    /// <summary>Slots of vmemmap.</summary>
    public const ulong VmemmapSlots = 32768;

    /// <summary>Bytes between <see cref="Start"/> and the lowest base of vmalloc.</summary>
    public const ulong VmallocFloor = 32 * ByteSize.TiB;

    /// <summary>Bytes of direct map beyond the RAM.</summary>
    public const ulong DirectMapPadding = 10 * ByteSize.TiB;

    /// <summary>Bytes of direct map under <c>nokaslr</c>: all that 46 physical bits reach (<c>MAX_PHYSMEM_BITS</c>).</summary>
    public const ulong LinkDirectMapSize = 64 * ByteSize.TiB;

    /// <summary>
    /// The highest end of RAM, 15 TiB: the last for which physmap has no fewer slots in the worst case (7,168) than stock ever has (6,998).
    /// </summary>
    public const ulong MaximumRamEnd = 15 * ByteSize.TiB;

    /// <summary>No kernel is placed below this physical address.</summary>
    public const ulong KernelPhysicalFloor = 16 * ByteSize.MiB;

    /// <summary>Slots of the modules' base: 1 to 1024 pages above their area's start.</summary>
    public const ulong ModulesSlots = 1024;

    /// <summary>Bytes of a page.</summary>
    public const uint PageSize = 4096;

    /// <summary>The lowest base vmemmap can take.</summary>
    public static VirtualAddress LowestVmemmap => End - VmemmapSize - (VmemmapSlots * RegionAlignment);

    /// <summary>The lowest base vmalloc can take.</summary>
    public static VirtualAddress LowestVmalloc => Start + VmallocFloor;
}

using System.Globalization;

namespace KaslrMt.Layout;

/// <summary>The first of the seed's four steps: where each region may lie. <see cref="AddressSpace"/> gives the reasons.</summary>
internal static class AvailableRanges
{
    /// <summary>vmemmap: fixed, whatever the kernel, the memory and the other regions.</summary>
    internal static KaslrConfig Vmemmap(Scope scope) => new(
        AddressSpace.LowestVmemmap.Value,
        AddressSpace.VmemmapSlots * AddressSpace.RegionAlignment,
        AddressSpace.RegionAlignment,
        Flags(scope));

    /// <summary>
    /// vmalloc, below the vmemmap that was drawn or, to keep a tenant's base from depending on a VM's, below every possible one.
    /// </summary>
    internal static KaslrConfig Vmalloc(Policy policy, VirtualAddress drawnVmemmap)
    {
        VirtualAddress bound = VmallocIgnoresVmemmap(policy) ? AddressSpace.LowestVmemmap : drawnVmemmap;
        return Below(bound, AddressSpace.LowestVmalloc, AddressSpace.VmallocSize, policy.ScopeOf(Region.Vmalloc));
    }

    /// <summary>
    /// physmap, below the vmalloc that was drawn or, to keep a tenant's base from depending on a VM's, below every possible one.
    /// </summary>
    internal static KaslrConfig Physmap(Policy policy, VirtualAddress drawnVmalloc, GuestMemoryMap memory)
    {
        RequireRoomForDirectMap(memory);
        VirtualAddress bound = PhysmapIgnoresVmalloc(policy) ? AddressSpace.LowestVmalloc : drawnVmalloc;
        return Below(bound, AddressSpace.Start, memory.DirectMapSize, policy.ScopeOf(Region.Physmap));
    }

    /// <summary>Whether vmalloc is bounded by the lowest possible vmemmap and not by the drawn one.</summary>
    internal static bool VmallocIgnoresVmemmap(Policy policy) =>
        policy.ScopeOf(Region.Vmalloc) == Scope.PerTenant && policy.ScopeOf(Region.Vmemmap) == Scope.PerVm;

    /// <summary>Whether physmap is bounded by the lowest possible vmalloc and not by the drawn one.</summary>
    internal static bool PhysmapIgnoresVmalloc(Policy policy) =>
        policy.ScopeOf(Region.Physmap) == Scope.PerTenant && policy.ScopeOf(Region.Vmalloc) == Scope.PerVm;

    /// <summary>The kernel's text: from its link address up to the last base at which it ends below the modules.</summary>
    internal static KaslrConfig KernelVirtual(KernelGeometry kernel, Scope scope)
    {
        ulong room = kernel.ModulesStart - kernel.LinkBase - Round.Up(kernel.ImageSize, kernel.Alignment);
        return KaslrConfig.Between(
            kernel.LinkBase.Value, kernel.LinkBase.Value + Round.Down(room, kernel.Alignment), kernel.Alignment, Flags(scope));
    }

    /// <summary>The modules: 1 to 1024 pages above the start of their area, as <c>module_load_offset</c> does it.</summary>
    internal static KaslrConfig Modules(KernelGeometry kernel, Scope scope) => new(
        kernel.ModulesStart.Value + AddressSpace.PageSize,
        AddressSpace.ModulesSlots * AddressSpace.PageSize,
        AddressSpace.PageSize,
        Flags(scope));

    /// <summary>The kernel in physical memory: every aligned base at which it lies in one RAM range and touches nothing reserved.</summary>
    /// <exception cref="KaslrMtException">KMT1204: there is none.</exception>
    internal static KaslrConfig[] KernelPhysical(KernelGeometry kernel, GuestMemoryMap memory, Scope scope)
    {
        ulong floor = Math.Max(AddressSpace.KernelPhysicalFloor, kernel.PreferredPhysical.Value);
        ulong size = kernel.MappedSize;
        var windows = new List<KaslrConfig>();
        foreach (PhysicalRange free in memory.Free())
        {
            ulong first = Round.Up(Math.Max(free.Start.Value, floor), kernel.Alignment);
            if (first >= free.End.Value || free.End.Value - first < size)
            {
                continue;
            }

            ulong last = first + Round.Down(free.End.Value - first - size, kernel.Alignment);
            windows.Add(KaslrConfig.Between(first, last, kernel.Alignment, Flags(scope) | KaslrFlags.Physical));
        }

        return windows.Count > 0 ? [.. windows] : throw new KaslrMtException(
            LayoutErrors.NoPhysicalSlot,
            string.Create(
                CultureInfo.InvariantCulture,
                $"no free place above {floor >> 20} MiB in {memory.RamSize} of RAM holds the kernel of {size >> 20} MiB"),
            "give the guest more memory or a smaller initrd");
    }

    /// <exception cref="KaslrMtException">KMT1205: RAM ends too high.</exception>
    internal static void RequireRoomForDirectMap(GuestMemoryMap memory)
    {
        if (memory.RamEnd.Value > AddressSpace.MaximumRamEnd)
        {
            throw new KaslrMtException(
                LayoutErrors.MemoryTooLarge,
                $"the guest's RAM ends at {memory.RamEnd}, there is room for {new PhysicalAddress(AddressSpace.MaximumRamEnd)}",
                "give the guest at most 15T of memory, holes included");
        }
    }

    private static KaslrConfig Below(VirtualAddress bound, VirtualAddress first, ulong regionSize, Scope scope)
    {
        VirtualAddress last = bound - AddressSpace.Guard - regionSize;
        return KaslrConfig.Between(first.Value, last.Value, AddressSpace.RegionAlignment, Flags(scope));
    }

    private static KaslrFlags Flags(Scope scope) => scope == Scope.PerTenant ? KaslrFlags.PerTenant : KaslrFlags.None;
}

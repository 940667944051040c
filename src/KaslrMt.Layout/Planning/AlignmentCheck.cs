namespace KaslrMt.Layout;

/// <summary>The third of the seed's four steps: a drawn layout is checked as a whole before anything is made from it.</summary>
/// <remarks>
/// It recomputes every promise from the bases alone and does not trust the windows: a fault in them, or in a producer, ends
/// here and not in a guest that corrupts its own memory.
/// </remarks>
internal static class AlignmentCheck
{
    /// <exception cref="KaslrMtException">KMT1207: a promise is broken; the message names the region and no address.</exception>
    internal static void Verify(ReadOnlySpan<RegionLayout> regions, KernelGeometry kernel, GuestMemoryMap memory)
    {
        foreach (RegionLayout region in regions)
        {
            bool isOfItsSlot = region.Slot < region.Slots && region.Window.BaseOf(region.Slot) == region.Base;
            Require(isOfItsSlot, region.Region, "is not the base of its slot");
            Require(region.Base % Alignment(region.Region, kernel) == 0, region.Region, "is not aligned");
            Require(IsInPlace(region, regions, kernel, memory), region.Region, "is out of place");
        }
    }

    private static bool IsInPlace(RegionLayout region, ReadOnlySpan<RegionLayout> regions, KernelGeometry kernel, GuestMemoryMap memory)
    {
        ulong start = region.Base;
        ulong modules = kernel.ModulesStart.Value;
        return region.Region switch
        {
            Region.KernelPhysical => start >= AddressSpace.KernelPhysicalFloor && IsFree(start, kernel.MappedSize, memory),
            Region.KernelVirtual => start >= kernel.LinkBase.Value && Ends(start, kernel.ImageSize) <= modules,
            Region.Physmap => start >= AddressSpace.Start.Value
                && Ends(start, memory.DirectMapSize + AddressSpace.Guard) <= BaseOf(Region.Vmalloc, regions),
            Region.Vmalloc => Ends(start, AddressSpace.VmallocSize + AddressSpace.Guard) <= BaseOf(Region.Vmemmap, regions),
            Region.Vmemmap => Ends(start, AddressSpace.VmemmapSize + AddressSpace.Guard) <= AddressSpace.End.Value,
            _ => start > modules && start - modules <= AddressSpace.ModulesSlots * AddressSpace.PageSize,
        };
    }

    private static uint Alignment(Region region, KernelGeometry kernel) => region switch
    {
        Region.KernelPhysical or Region.KernelVirtual => kernel.Alignment,
        Region.Modules => AddressSpace.PageSize,
        _ => AddressSpace.RegionAlignment,
    };

    private static bool IsFree(ulong address, ulong size, GuestMemoryMap memory) =>
        memory.Ram.Any(ram => ram.Start.Value <= address && Ends(address, size) <= ram.End.Value)
        && !memory.Reserved.Any(taken => taken.Start.Value < Ends(address, size) && address < taken.End.Value);

    private static ulong BaseOf(Region wanted, ReadOnlySpan<RegionLayout> regions)
    {
        foreach (RegionLayout region in regions)
        {
            if (region.Region == wanted)
            {
                return region.Base;
            }
        }

        throw Unsound(wanted, "is missing");
    }

    // Saturates: an end beyond 2^64 lies beyond every bound.
    private static ulong Ends(ulong start, ulong size) => size > ulong.MaxValue - start ? ulong.MaxValue : start + size;

    private static void Require(bool holds, Region region, string problem)
    {
        if (!holds)
        {
            throw Unsound(region, problem);
        }
    }

    private static KaslrMtException Unsound(Region region, string problem) =>
        new(
            LayoutErrors.LayoutUnsound,
            $"the base drawn for {region.Name()} {problem}",
            "nothing was made from it; this is a fault of kaslrmt: report it");
}

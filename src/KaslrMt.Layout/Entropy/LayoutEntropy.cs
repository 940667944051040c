namespace KaslrMt.Layout;

/// <summary>The entropy of this project's layouts, exactly, for a policy, a kernel and a memory map.</summary>
/// <remarks>
/// It asks <c>AvailableRanges</c>, the code that plans, for every window that can occur; it does not repeat its arithmetic.
/// </remarks>
public static class LayoutEntropy
{
    private static readonly int AllSlots = (int)((AddressSpace.End - AddressSpace.Start) / AddressSpace.RegionAlignment);

    /// <summary>The entropy of all six bases.</summary>
    /// <exception cref="KaslrMtException">KMT1204: no place in RAM. KMT1205: too much RAM.</exception>
    public static KaslrEntropy Of(KernelGeometry kernel, GuestMemoryMap memory, Policy policy)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        ArgumentNullException.ThrowIfNull(memory);
        AvailableRanges.RequireRoomForDirectMap(memory);
        (RegionEntropy vmemmap, SlotDistribution vmemmapBases) = After(Region.Vmemmap, Certain(), _ =>
            AvailableRanges.Vmemmap(Scope.PerVm));
        (RegionEntropy vmalloc, SlotDistribution vmallocBases) = After(Region.Vmalloc, vmemmapBases, bound =>
            AvailableRanges.Vmalloc(policy, bound));
        (RegionEntropy physmap, _) = After(Region.Physmap, vmallocBases, bound => AvailableRanges.Physmap(policy, bound, memory));
        return new KaslrEntropy(
            vmemmap,
            vmalloc,
            physmap,
            RegionEntropy.Uniform(Region.KernelPhysical, SlotsOf(AvailableRanges.KernelPhysical(kernel, memory, Scope.PerVm))),
            RegionEntropy.Uniform(Region.KernelVirtual, AvailableRanges.KernelVirtual(kernel, Scope.PerVm).Slots),
            RegionEntropy.Uniform(Region.Modules, AvailableRanges.Modules(kernel, Scope.PerVm).Slots));
    }

    /// <summary>A region whose window depends on the base drawn before it: its entropy, and the distribution of its own base.</summary>
    private static (RegionEntropy Entropy, SlotDistribution Bases) After(
        Region region, SlotDistribution earlier, Func<VirtualAddress, KaslrConfig> windowBelow)
    {
        var bases = new SlotDistribution(AllSlots);
        double conditional = 0;
        double least = double.MaxValue;
        foreach ((int slot, double probability) in earlier.Outcomes())
        {
            KaslrConfig window = windowBelow(AddressSpace.Start + ((ulong)slot * AddressSpace.RegionAlignment));
            int first = (int)((new VirtualAddress(window.BaseOffset) - AddressSpace.Start) / AddressSpace.RegionAlignment);
            bases.Add(first, (int)window.Slots, probability / window.Slots);
            double bits = Math.Log2(window.Slots);
            conditional += probability * bits;
            least = Math.Min(least, bits);
        }

        return (new RegionEntropy(region, bases.Entropy(), conditional, least), bases);
    }

    private static SlotDistribution Certain()
    {
        var certain = new SlotDistribution(AllSlots);
        certain.Add(0, 1, 1.0);
        return certain;
    }

    private static ulong SlotsOf(KaslrConfig[] windows) => windows.Aggregate(0UL, (sum, window) => sum + window.Slots);
}

namespace KaslrMt.Layout;

/// <summary>How much direct map the stock kernel reserves before it shares the rest out as entropy.</summary>
public enum StockDirectMap
{
    /// <summary>CONFIG_ZONE_DEVICE=y, as distributions build: 64 TiB whatever the RAM.</summary>
    ZoneDevice = 0,

    /// <summary>CONFIG_ZONE_DEVICE=n: the RAM in whole TiB and CONFIG_RANDOMIZE_MEMORY_PHYSICAL_PADDING, 10 TiB.</summary>
    Padded = 1,
}

/// <summary>The entropy that the stock kernel's own KASLR would give the same VM: what this project is measured against.</summary>
/// <remarks>
/// <para>
/// physmap, vmalloc and vmemmap are computed from the loop of <c>kernel_randomize_memory</c> (<c>arch/x86/mm/kaslr.c</c>) with ideal
/// random numbers: region i of 3 gets an offset <c>(rand % (e + 1)) &amp; PUD_MASK</c> with <c>e = remaining / (3 − i)</c>.
/// Real kernels have less: <c>prandom_seed_state</c> folds its seed to 32 bits, so all three together never have more than 32.
/// </para>
/// <para>
/// Physical slots follow <c>__process_mem_region</c> (<c>arch/x86/boot/compressed/kaslr.c</c>) for the same RAM and reserved ranges.
/// The stock kernel must also avoid its compressed self, which is not subtracted here.
/// Both simplifications flatter the stock kernel, which is the right way round for a bound to be above.
/// </para>
/// </remarks>
public static class StockKaslr
{
    // MAX_SLOT_AREA: the decompressor keeps no more free stretches than this.
    private const int MaximumSlotAreas = 100;

    /// <summary>The entropy of all six bases.</summary>
    /// <param name="kernel">What the image says about where it may lie.</param>
    /// <param name="memory">The guest's RAM and what of it is taken.</param>
    /// <param name="directMap">How the kernel was configured.</param>
    public static KaslrEntropy EntropyOf(KernelGeometry kernel, GuestMemoryMap memory, StockDirectMap directMap)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        ArgumentNullException.ThrowIfNull(memory);
        ulong reserved = directMap == StockDirectMap.ZoneDevice ? 64 * ByteSize.TiB : memory.DirectMapSize;
        ulong remaining = AddressSpace.End - AddressSpace.Start - reserved - AddressSpace.VmallocSize - AddressSpace.VmemmapSize;
        ulong virtualSlots = 1 + ((kernel.ModulesStart - kernel.LinkBase - kernel.MappedSize) / kernel.Alignment);
        return new KaslrEntropy([
            .. Memory(remaining),
            RegionEntropy.Uniform(Region.KernelPhysical, Math.Max(1, PhysicalSlots(kernel, memory))),
            RegionEntropy.Uniform(Region.KernelVirtual, virtualSlots),
            RegionEntropy.Uniform(Region.Modules, AddressSpace.ModulesSlots),
        ]);
    }

    /// <summary>How many physical bases the stock decompressor would choose from; 0 where it would give up and stay.</summary>
    public static ulong PhysicalSlots(KernelGeometry kernel, GuestMemoryMap memory)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        ArgumentNullException.ThrowIfNull(memory);
        ulong minimum = Round.Up(Math.Min(kernel.PreferredPhysical.Value, 512 * ByteSize.MiB), kernel.Alignment);
        ulong size = kernel.MappedSize;
        ulong slots = 0;
        int areas = 0;
        foreach (PhysicalRange ram in memory.Ram)
        {
            ulong start = Math.Max(ram.Start.Value, minimum);
            bool more = true;
            while (more && areas < MaximumSlotAreas)
            {
                start = Round.Up(start, kernel.Alignment);
                if (start > ram.End.Value || ram.End.Value - start < size)
                {
                    break;
                }

                // The decompressor cuts the stretch at the first thing it must avoid, takes what lies before, and starts over behind.
                PhysicalRange? avoided = FirstOverlap(memory, start, ram.End.Value);
                ulong end = avoided?.Start.Value ?? ram.End.Value;
                if (end >= start + size)
                {
                    slots += 1 + ((end - start - size) / kernel.Alignment);
                    areas++;
                }

                more = avoided is not null;
                start = avoided?.End.Value ?? start;
            }
        }

        return slots;
    }

    /// <summary>physmap, vmalloc and vmemmap, when this many bytes are left to be shared out. Exact, by the chain rule.</summary>
    internal static RegionEntropy[] Memory(ulong remaining)
    {
        int slots = checked((int)(remaining / AddressSpace.RegionAlignment)) + 1;
        var bases = new SlotDistribution(slots);
        bases.Add(0, 1, 1.0);
        var entropies = new RegionEntropy[3];
        for (int i = 0; i < entropies.Length; i++)
        {
            // A base is the sum of the offsets so far, so it alone says how much is left for the next offset.
            var next = new SlotDistribution(slots);
            double conditional = 0;
            double least = double.MaxValue;
            foreach ((int spent, double probability) in bases.Outcomes())
            {
                ulong left = remaining - ((ulong)spent * AddressSpace.RegionAlignment);
                var offset = StockOffset.UpTo(left / (ulong)(entropies.Length - i));
                next.Add(spent, offset.WholeSlots, probability * offset.WholeProbability);
                next.Add(spent + offset.WholeSlots, 1, probability * offset.LastProbability);
                conditional += probability * offset.Entropy;
                least = Math.Min(least, offset.Entropy);
            }

            entropies[i] = new RegionEntropy(Region.Physmap + i, next.Entropy(), conditional, least);
            bases = next;
        }

        return entropies;
    }

    private static PhysicalRange? FirstOverlap(GuestMemoryMap memory, ulong start, ulong end)
    {
        foreach (PhysicalRange taken in memory.Reserved)
        {
            if (taken.Start.Value < end && start < taken.End.Value)
            {
                return taken;
            }
        }

        return null;
    }

    /// <summary>The distribution of one masked offset: equally likely slots, and a last one that the modulus cuts short.</summary>
    private readonly record struct StockOffset(int WholeSlots, double WholeProbability, double LastProbability)
    {
        internal double Entropy => WholeSlots == 0
            ? 0
            : -(WholeSlots * WholeProbability * Math.Log2(WholeProbability)) - (LastProbability * Math.Log2(LastProbability));

        internal static StockOffset UpTo(ulong bytes)
        {
            double outcomes = (double)bytes + 1;
            return new StockOffset(
                (int)(bytes / AddressSpace.RegionAlignment),
                AddressSpace.RegionAlignment / outcomes,
                ((bytes % AddressSpace.RegionAlignment) + 1) / outcomes);
        }
    }
}

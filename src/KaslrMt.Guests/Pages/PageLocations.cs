namespace KaslrMt.Guests;

/// <summary>Where in its region each page of the paper's six classes is mapped: the same number in two guests is the same place, whatever the bases.</summary>
/// <remarks>
/// Pages from <c>_text</c> for the kernel's code and data, from <c>vmalloc_base</c>, from <c>vmemmap_base</c>; for modules from the lowest page
/// that is mapped in their area, which is where the first one lies. Processors' copies of per-CPU data lie in the direct map: they count from
/// <c>pcpu_base_addr</c>, behind any image. A page mapped twice in its region has the higher place.
/// </remarks>
public static class PageLocations
{
    /// <summary>The place of a page of another class, and of one that is mapped no longer.</summary>
    public const ulong None = ulong.MaxValue;

    private const int PageShift = 12;
    private const ulong ModulesStart = 0xffffffffc0000000;
    private const ulong ModulesEnd = 0xffffffffff000000;
    private const ulong LargestImage = ModulesEnd - 0xffffffff80000000;
    private const ulong PerCpuPlace = 1UL << 40;

    // Each page may be mapped several times; a hostile guest could map all of it a hundred thousand times over.
    private const long MostPagesAtLeast = 1 << 24;
    private const int MostTimes = 16;

    /// <summary>Reads the page tables once more.</summary>
    /// <param name="kernel">The guest's kernel; the guest should stand still.</param>
    /// <param name="map">What its pages are.</param>
    /// <returns>A place for each page, by its number.</returns>
    /// <exception cref="KaslrMtException">KMT5011; KMT50xx when the guest goes away.</exception>
    public static ulong[] Read(GuestKernel kernel, PageMap map)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        ArgumentNullException.ThrowIfNull(map);
        var places = new ulong[map.Frames.Count];
        places.AsSpan().Fill(None);
        ulong image = kernel.Symbol("_end") is VirtualAddress end ? Math.Min(end - kernel.VirtualBase, LargestImage) : 0;
        Place(map, places, kernel.PhysicalBase, image, 0, PageClass.KernelCode, PageClass.KernelData);
        PerCpu(kernel, map, places);

        VirtualAddress vmalloc = Variable(kernel, "vmalloc_base"), vmemmap = Variable(kernel, "vmemmap_base");
        var direct = new VirtualAddress(ModulesStart);
        VirtualAddress? modules = null;
        long budget = MostPagesAtLeast + ((long)MostTimes * map.Frames.Count);
        new KernelAddressSpace(kernel.Memory).Visit(kernel.Tables, map.Frames.Count, _ => { }, (in Mapping leaf) =>
        {
            VirtualAddress address = leaf.Address;
            if (address >= vmalloc && address < vmemmap)
            {
                Place(map, places, leaf.Target, leaf.Size, (address - vmalloc) >> PageShift, PageClass.Vmalloc, PageClass.Vmalloc);
            }
            else if (address >= direct && address.Value < ModulesEnd)
            {
                modules ??= address;
                Place(map, places, leaf.Target, leaf.Size, (address - modules.Value) >> PageShift, PageClass.ModuleCode, PageClass.ModuleData);
            }
            else if (address >= vmemmap && address < direct)
            {
                // What else lies up there (fixed mappings, processors' entry areas) holds pages of other classes.
                Place(map, places, leaf.Target, leaf.Size, (address - vmemmap) >> PageShift, PageClass.Vmemmap, PageClass.Vmemmap);
            }
            else
            {
                return true;
            }

            budget -= (long)(leaf.Size >> PageShift);
            return budget > 0;
        });
        return places;
    }

    private static void PerCpu(GuestKernel kernel, PageMap map, ulong[] places)
    {
        if (kernel.Symbol("pcpu_base_addr") is VirtualAddress first && kernel.TryReadWord(first, out ulong start)
            && kernel.Tables.TryTranslate(new VirtualAddress(start), out Mapping direct))
        {
            // The painter knew how far it goes: pages behind it have other classes, or are kernel data with no other place.
            PhysicalAddress target = direct.Target + (new VirtualAddress(start) - direct.Address);
            for (ulong page = 0; map.Frames.IndexOf(target + (page << PageShift)) is >= 0 and var index && map.Pages[index] == PageClass.KernelData; page++)
            {
                places[index] = places[index] == None ? PerCpuPlace + page : places[index];
            }
        }
    }

    private static void Place(PageMap map, ulong[] places, PhysicalAddress target, ulong size, ulong first, PageClass one, PageClass other)
    {
        for (ulong page = 0; page < (size + PageCensus.PageSize - 1) >> PageShift; page++)
        {
            int index = map.Frames.IndexOf(target + (page << PageShift));
            if (index >= 0 && (map.Pages[index] == one || map.Pages[index] == other))
            {
                places[index] = first + page;
            }
        }
    }

    private static VirtualAddress Variable(GuestKernel kernel, string name) =>
        kernel.Symbol(name) is VirtualAddress symbol && kernel.TryReadWord(symbol, out ulong value) && value >= 0xff00000000000000
            ? new VirtualAddress(value)
            : throw new KaslrMtException(GuestErrors.NoKernel, $"the guest's kernel has no {name} that can be read", "wait until the guest has booted");
}

namespace KaslrMt.Guests;

/// <summary>The kernel's half of a guest's address space: every region in order, and all that is mapped there.</summary>
public static class AddressSpaceMap
{
    /// <summary>Reads it. Every mapped page is counted in exactly one region; one that is mapped in a hole is counted there.</summary>
    /// <exception cref="KaslrMtException">KMT5012 for hostile tables, KMT50xx when the guest goes away.</exception>
    public static IReadOnlyList<MapRegion> Read(GuestKernel kernel)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        List<(string Name, ulong Start, ulong Last)> plan = RegionPlan.Of(kernel);
        var counts = new Dictionary<PageAccess, MappedPages>[plan.Count];
        ulong[] ends = new ulong[plan.Count];
        int at = 0;
        foreach (Mapping mapping in kernel.Tables.Leaves(new VirtualAddress(plan[0].Start), new VirtualAddress(ulong.MaxValue)))
        {
            while (mapping.Address.Value > plan[at].Last)
            {
                at++;
            }

            PageAccess access = PageAccess.Of(mapping);
            Dictionary<PageAccess, MappedPages> region = counts[at] ??= [];
            region[access] = region.GetValueOrDefault(access, new MappedPages(access, 0, 0, 0)).With(mapping.Size);
            ends[at] = mapping.Address.Value + (mapping.Size - 1);
        }

        List<MapRegion> regions = [];
        for (int i = 0; i < plan.Count; i++)
        {
            (string name, ulong start, ulong last) = plan[i];
            IEnumerable<MappedPages> pages = counts[i] is { } found ? found.Values.OrderBy(entry => entry.Access) : [];

            // These two reserve far more than the guest's memory needs: what is theirs ends where it does.
            bool open = name is "direct map" or "vmemmap" && ends[i] > start && ends[i] < last;
            regions.Add(new MapRegion(name, new VirtualAddress(start), new VirtualAddress(open ? ends[i] : last), [.. pages]));
            if (open)
            {
                regions.Add(new MapRegion(MapRegion.Hole, new VirtualAddress(ends[i] + 1), new VirtualAddress(last), []));
            }
        }

        return Join(regions);
    }

    private static List<MapRegion> Join(List<MapRegion> regions)
    {
        List<MapRegion> joined = [];
        foreach (MapRegion region in regions)
        {
            if (joined.Count > 0 && joined[^1] is { Name: MapRegion.Hole, Pages.IsEmpty: true } before && region is { Name: MapRegion.Hole, Pages.IsEmpty: true })
            {
                joined[^1] = before with { Last = region.Last };
            }
            else
            {
                joined.Add(region);
            }
        }

        return joined;
    }
}

using System.Buffers.Binary;

namespace KaslrMt.Guests;

/// <summary>Finds the top page table of a guest's kernel in its RAM, with nothing known but the architecture.</summary>
/// <remarks>
/// Every address space of Linux on x86-64 ends in the same entry: number 511 of its top table leads to <c>level3_kernel_pgt</c>, whose entry 510
/// leads to the tables of the kernel's text (<c>arch/x86/kernel/head_64.S</c>). With five levels there is one more table between
/// (<c>level4_kernel_pgt</c>), which looks like a top table that maps nothing but the text; so a page that leads to such a page wins over it.
/// </remarks>
/// <param name="Table">The table.</param>
/// <param name="Levels">4 or 5.</param>
internal readonly record struct KernelRoot(PhysicalAddress Table, int Levels)
{
    private const int PageSize = 4096;
    private const int EntriesPerTable = 512;
    private const int KernelHalf = 256;
    private const int LastEntry = 511;
    private const int TextEntry = 510;

    // From here on upwards lie cpu_entry_area, espfix, EFI and the text: what a table of the fourth level holds too.
    private const int UppermostEntries = 507;
    private const ulong Present = 1;
    private const ulong User = 1 << 2;
    private const ulong LargePage = 1 << 7;
    private const ulong AddressMask = 0x000ffffffffff000;
    private const ulong ReservedMask = 0x7ff0000000000000;

    // A guest with that many top tables has that many processes; a hostile one gains nothing by more.
    private const int MostCandidates = 1 << 16;

    /// <summary>Looks through all RAM.</summary>
    /// <returns>Null when there is no such table.</returns>
    /// <exception cref="KaslrMtException">The guest has exited or the host refuses, as in <see cref="IGuestMemory.Read"/>.</exception>
    public static KernelRoot? Find(IGuestMemory memory)
    {
        Dictionary<PhysicalAddress, PhysicalAddress> last = LastEntries(memory);
        Dictionary<PhysicalAddress, bool> texts = [];
        HashSet<PhysicalAddress> tops = [];
        foreach ((PhysicalAddress table, PhysicalAddress target) in last)
        {
            if (!texts.TryGetValue(target, out bool text))
            {
                texts[target] = text = LeadsToText(memory, target);
            }

            if (text)
            {
                tops.Add(table);
            }
        }

        // Of five levels, the best top table leads to one of those; of four, it is one of those.
        return Fullest(memory, last.Where(pair => tops.Contains(pair.Value)).Select(pair => pair.Key), 5)
            ?? Fullest(memory, tops, 4);
    }

    private static Dictionary<PhysicalAddress, PhysicalAddress> LastEntries(IGuestMemory memory)
    {
        Dictionary<PhysicalAddress, PhysicalAddress> found = [];
        var block = new byte[1 << 20];
        foreach (PhysicalRange range in memory.Ranges)
        {
            for (ulong offset = 0; offset < range.Length; offset += (ulong)block.Length)
            {
                Span<byte> bytes = block.AsSpan(0, (int)Math.Min((ulong)block.Length, range.Length - offset) & ~(PageSize - 1));
                memory.Read(range.Start + offset, bytes);
                for (int page = 0; page < bytes.Length && found.Count < MostCandidates; page += PageSize)
                {
                    ulong entry = BinaryPrimitives.ReadUInt64LittleEndian(bytes[(page + (LastEntry * sizeof(ulong)))..]);
                    var target = new PhysicalAddress(entry & AddressMask);
                    if ((entry & (Present | LargePage | ReservedMask)) == Present && memory.Ranges.Any(ram => ram.Contains(target, PageSize)))
                    {
                        found[range.Start + offset + (ulong)page] = target;
                    }
                }
            }
        }

        return found;
    }

    private static bool LeadsToText(IGuestMemory memory, PhysicalAddress table)
    {
        Span<byte> word = stackalloc byte[sizeof(ulong)];
        if (!memory.TryRead(table + (TextEntry * sizeof(ulong)), word))
        {
            return false;
        }

        ulong entry = BinaryPrimitives.ReadUInt64LittleEndian(word);
        var entries = new byte[PageSize];
        if ((entry & (Present | LargePage | ReservedMask)) != Present || !memory.TryRead(new PhysicalAddress(entry & AddressMask), entries))
        {
            return false;
        }

        // The text's first mapping is RAM and not the users', unlike whatever a process's lower tables look like when read as upper ones.
        for (int i = 0; i < EntriesPerTable; i++)
        {
            entry = BinaryPrimitives.ReadUInt64LittleEndian(entries.AsSpan(i * sizeof(ulong)));
            if ((entry & Present) != 0)
            {
                var target = new PhysicalAddress(entry & AddressMask);
                return (entry & (ReservedMask | User)) == 0 && memory.Ranges.Any(ram => ram.Contains(target));
            }
        }

        return false;
    }

    /// <summary>The table that maps the most of the kernel half: the kernel's own, or a process's; under page-table isolation not a user one.</summary>
    private static KernelRoot? Fullest(IGuestMemory memory, IEnumerable<PhysicalAddress> tables, int levels)
    {
        KernelRoot? best = null;
        int most = 0;
        var entries = new byte[PageSize];
        foreach (PhysicalAddress table in tables)
        {
            if (!memory.TryRead(table, entries))
            {
                continue;
            }

            int present = 0;
            for (int i = KernelHalf; i < UppermostEntries; i++)
            {
                present += entries[i * sizeof(ulong)] & (int)Present;
            }

            if (present > most)
            {
                most = present;
                best = new KernelRoot(table, levels);
            }
        }

        return best;
    }
}

using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace KaslrMt.Guests;

/// <summary>Finds, in RAM, the page tables that lead to a kernel's text, with nothing known but the architecture.</summary>
/// <remarks>
/// Every address space of Linux on x86-64 ends in the same entry: number 511 of its top table leads to <c>level3_kernel_pgt</c>, whose entry 510
/// leads to the tables of the kernel's text (<c>arch/x86/kernel/head_64.S</c>); with five levels one table (<c>level4_kernel_pgt</c>) is between.
/// So one word of each page says whether it may be such a table, and all others are never read.
/// </remarks>
internal sealed class TextTableSearch(IGuestMemory memory)
{
    private const int LastEntry = 511;
    private const int TextEntry = 510;
    private const int WordSize = sizeof(ulong);
    private const ulong User = 1 << 2;
    private const ulong ReservedMask = 0x7ff0000000000000;
    private const ulong TableMask = PageTableWalk.Present | PageTableWalk.LargePage | ReservedMask;

    // 64 MiB of guest: small enough to end early in a large one, large enough to cost nothing by itself.
    private const int PagesAtOnce = 1 << 14;
    private const int TablesAtOnce = 256;

    private readonly RamMap _ram = new(memory.Ranges);
    private readonly HashSet<ulong> _known = [];

    /// <summary>Those that given top tables lead to.</summary>
    public IEnumerable<TextTable> Of(params IReadOnlyList<PhysicalAddress> tops) => Examine([.. tops.Where(top => _ram.HoldsPage(top.Value))]);

    /// <summary>All, one stretch of RAM after the other; within a stretch, those that map most come first.</summary>
    public IEnumerable<TextTable> All()
    {
        foreach (PhysicalAddress[] pages in new RamMap(memory.FindWritten()).Every(PageTableWalk.PageSize).Chunk(PagesAtOnce))
        {
            foreach (TextTable table in Examine(pages))
            {
                yield return table;
            }
        }
    }

    private List<TextTable> Examine(PhysicalAddress[] tops)
    {
        List<(PhysicalAddress Top, ulong Table)> led = [];
        foreach ((PhysicalAddress top, ulong entry) in Words(tops, LastEntry))
        {
            ulong table = entry & PageTableWalk.AddressMask;
            if ((entry & TableMask) == PageTableWalk.Present && _ram.HoldsPage(table) && _known.Add(table))
            {
                led.Add((top, table));
            }
        }

        List<TextTable> found = [];
        List<(PhysicalAddress Top, ulong Table, PhysicalAddress Text)> texts = [];
        int i = 0;
        foreach ((_, ulong entry) in Words([.. led.Select(pair => new PhysicalAddress(pair.Table))], TextEntry))
        {
            ulong text = entry & PageTableWalk.AddressMask;
            if ((entry & (TableMask | User)) is PageTableWalk.Present or (PageTableWalk.Present | User) && _ram.HoldsPage(text))
            {
                texts.Add((led[i].Top, led[i].Table, new PhysicalAddress(text)));
            }

            i++;
        }

        byte[] tables = new byte[Math.Min(texts.Count, TablesAtOnce) * PageTableWalk.PageSize];
        foreach ((PhysicalAddress Top, ulong Table, PhysicalAddress Text)[] some in texts.Chunk(TablesAtOnce))
        {
            memory.ReadEach([.. some.Select(entry => entry.Text)], PageTableWalk.PageSize, tables);
            for (int t = 0; t < some.Length; t++)
            {
                int mapped = Mapped(MemoryMarshal.Cast<byte, ulong>(tables.AsSpan(t * PageTableWalk.PageSize, PageTableWalk.PageSize)));
                if (mapped > 0)
                {
                    found.Add(new TextTable(some[t].Top, new PhysicalAddress(some[t].Table), mapped));
                }
            }
        }

        return [.. found.OrderByDescending(table => table.Mapped)];
    }

    // The text's first mapping is RAM and not the users', unlike whatever a process's lower tables look like when read as upper ones.
    private int Mapped(ReadOnlySpan<ulong> entries)
    {
        int mapped = 0;
        foreach (ulong entry in entries)
        {
            if ((entry & PageTableWalk.Present) != 0)
            {
                if (mapped == 0 && ((entry & (ReservedMask | User)) != 0 || !_ram.HoldsPage(entry & PageTableWalk.AddressMask & ~(ulong)PageTableWalk.LargePage)))
                {
                    return 0;
                }

                mapped++;
            }
        }

        return mapped;
    }

    private List<(PhysicalAddress Table, ulong Entry)> Words(PhysicalAddress[] tables, int index)
    {
        List<(PhysicalAddress Table, ulong Entry)> words = new(tables.Length);
        byte[] bytes = new byte[tables.Length * WordSize];
        memory.ReadEach(Array.ConvertAll(tables, table => table + (ulong)(index * WordSize)), WordSize, bytes);
        for (int i = 0; i < tables.Length; i++)
        {
            words.Add((tables[i], BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(i * WordSize))));
        }

        return words;
    }
}

using System.Runtime.InteropServices;

namespace KaslrMt.Guests;

/// <summary>Walks the kernel half of a guest's page tables once: every leaf, and every table on the way.</summary>
/// <remarks>
/// Unlike <see cref="PageTableWalk"/> it allocates nothing for a leaf and tells the tables too. A hostile guest's tables may lead to one
/// another: the tables visited and the leaves told are capped, and <see cref="Ended"/> says whether that was so.
/// </remarks>
/// <param name="memory">The guest's RAM.</param>
internal sealed class KernelAddressSpace(IGuestMemory memory)
{
    private const int EntriesPerTable = 512;
    private const int FirstKernelEntry = 256;
    private const int HighestLargeLevel = 2;
    private const int IndexBits = 9;
    private const ulong Present = 1;
    private const ulong LargePage = 1 << 7;
    private const ulong AddressMask = 0x000ffffffffff000;
    private const ulong FlagMask = 0x8000000000000fff;

    // A table for each 2 MiB of RAM, and as many again: what a kernel that maps everything with 4 KiB pages twice would have.
    private const int MostTablesAtLeast = 1 << 16;

    private readonly List<ulong[]> _levels = [];
    private long _budget;

    /// <summary>Takes a leaf; false ends the walk.</summary>
    internal delegate bool LeafVisitor(in Mapping leaf);

    /// <summary>Whether the walk came to its end.</summary>
    internal bool Ended { get; private set; } = true;

    /// <summary>Walks.</summary>
    /// <param name="walk">The top table.</param>
    /// <param name="pages">Pages of RAM; bounds the work.</param>
    /// <param name="table">Takes each table but the top one.</param>
    /// <param name="leaf">Takes each leaf, in ascending order.</param>
    internal void Visit(PageTableWalk walk, int pages, Action<PhysicalAddress> table, LeafVisitor leaf)
    {
        _budget = MostTablesAtLeast + (2L * pages / EntriesPerTable);
        for (int level = _levels.Count; level < walk.Levels; level++)
        {
            _levels.Add(new ulong[EntriesPerTable]);
        }

        table(walk.Root);
        Ended = Visit(walk.Root, walk.Levels - 1, ulong.MaxValue << (12 + (IndexBits * walk.Levels)), FirstKernelEntry, table, leaf);
    }

    private bool Visit(PhysicalAddress at, int level, ulong start, int first, Action<PhysicalAddress> table, LeafVisitor leaf)
    {
        if (--_budget < 0)
        {
            return false;
        }

        ulong[] entries = _levels[level];
        if (!memory.TryRead(at, MemoryMarshal.AsBytes(entries.AsSpan())))
        {
            return true;
        }

        int shift = 12 + (IndexBits * level);
        for (int i = first; i < EntriesPerTable; i++)
        {
            ulong entry = entries[i];
            if ((entry & Present) == 0)
            {
                continue;
            }

            ulong address = start + ((ulong)i << shift);
            if (level == 0 || (level <= HighestLargeLevel && (entry & LargePage) != 0))
            {
                ulong span = 1UL << shift;
                if (!leaf(new Mapping(new VirtualAddress(address), new PhysicalAddress(entry & AddressMask & ~(span - 1)), span, entry & FlagMask)))
                {
                    return false;
                }

                continue;
            }

            var next = new PhysicalAddress(entry & AddressMask);
            table(next);
            if (!Visit(next, level - 1, address, 0, table, leaf))
            {
                return false;
            }
        }

        return true;
    }
}

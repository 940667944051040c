using System.Buffers.Binary;

namespace KaslrMt.Guests;

/// <summary>Walks a guest's 4-level page tables from outside.</summary>
/// <remarks>
/// The tables are the guest's, so hostile: an entry that points outside RAM is passed over, and the number of tables read is capped
/// (Intel SDM volume 3, 4.5 "4-level paging").
/// </remarks>
/// <param name="memory">The guest's RAM.</param>
/// <param name="root">The top table: CR3 without its low 12 bits.</param>
public sealed class PageTableWalk(IGuestMemory memory, PhysicalAddress root)
{
    private const int TopLevel = 3;
    private const int EntriesPerTable = 512;
    private const int PageSize = 4096;
    private const ulong Present = 1;
    private const ulong LargePage = 1 << 7;
    private const ulong AddressMask = 0x000ffffffffff000;
    private const ulong FlagMask = 0x8000000000000fff;

    // 4 TiB of RAM mapped with 2 MiB pages takes 4,100 tables; with 4 KiB pages no guest here comes near the cap.
    private const int MaximumTables = 1 << 17;

    /// <summary>The leaves that map addresses of a range, in ascending order.</summary>
    /// <param name="from">The first address; kernel half, canonical.</param>
    /// <param name="to">The last address, inclusive (so that a range may end at 2^64 − 1).</param>
    /// <exception cref="KaslrMtException">KMT5002 when the guest goes away, KMT5012 when the tables do not end.</exception>
    public IEnumerable<Mapping> Leaves(VirtualAddress from, VirtualAddress to)
    {
        var budget = new Budget();
        return Visit(root, TopLevel, 0xffff000000000000, from, to, budget);
    }

    private IEnumerable<Mapping> Visit(PhysicalAddress table, int level, ulong tableBase, VirtualAddress from, VirtualAddress to, Budget budget)
    {
        if (++budget.Tables > MaximumTables)
        {
            throw new KaslrMtException(ObservationErrors.HostileTables, $"the guest's page tables at {root} have more than {MaximumTables} tables", "they are corrupt or hostile");
        }

        var entries = new byte[PageSize];
        if (!memory.TryRead(table, entries))
        {
            yield break;
        }

        int shift = 12 + (9 * level);
        ulong span = 1UL << shift;
        for (int i = 0; i < EntriesPerTable; i++)
        {
            var address = new VirtualAddress(tableBase + ((ulong)i << shift));
            ulong entry = BinaryPrimitives.ReadUInt64LittleEndian(entries.AsSpan(i * 8));
            if ((entry & Present) == 0 || address > to || address + (span - 1) < from)
            {
                continue;
            }

            bool leaf = level == 0 || (level < TopLevel && (entry & LargePage) != 0);
            if (leaf)
            {
                yield return new Mapping(address, new PhysicalAddress(entry & AddressMask & ~(span - 1)), span, entry & FlagMask);
                continue;
            }

            foreach (Mapping mapping in Visit(new PhysicalAddress(entry & AddressMask), level - 1, address.Value, from, to, budget))
            {
                yield return mapping;
            }
        }
    }

    private sealed class Budget
    {
        public int Tables { get; set; }
    }
}

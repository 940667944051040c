using System.Buffers.Binary;

namespace KaslrMt.Guests;

/// <summary>Walks a guest's page tables from outside.</summary>
/// <remarks>
/// The tables are the guest's, so hostile: an entry that points outside RAM is passed over, and the number of tables read is capped
/// (Intel SDM volume 3, 4.5 "4-level paging and 5-level paging").
/// </remarks>
/// <param name="memory">The guest's RAM.</param>
/// <param name="root">The top table: CR3 without its low 12 bits.</param>
/// <param name="levels">4, or 5 where CR4.LA57 is set.</param>
public sealed class PageTableWalk(IGuestMemory memory, PhysicalAddress root, int levels = 4)
{
    private const int HighestLargeLevel = 2;
    internal const int IndexBits = 9;
    internal const int EntriesPerTable = 512;
    internal const int PageSize = 4096;
    internal const ulong Present = 1;
    internal const ulong FullRights = Writable | User;

    private const ulong Writable = 1 << 1;
    private const ulong User = 1 << 2;
    private const ulong NoExecute = 1UL << 63;
    private const ulong RightsMask = Writable | User | NoExecute;
    internal const ulong LargePage = 1 << 7;
    internal const ulong AddressMask = 0x000ffffffffff000;

    private const ulong FlagMask = 0x8000000000000fff;

    // 4 TiB of RAM mapped with 2 MiB pages takes 4,100 tables; with 4 KiB pages no guest here comes near the cap.
    private const int MaximumTables = 1 << 17;

    /// <summary>The top table.</summary>
    public PhysicalAddress Root => root;

    /// <summary>4 or 5.</summary>
    public int Levels => levels;

    /// <summary>The leaves that map addresses of a range, in ascending order.</summary>
    /// <remarks>
    /// The tables that one table leads to are read in one call to the host: that is what makes a walk fast, and it sees a live guest's tables closer
    /// to one moment.
    /// </remarks>
    /// <param name="from">The first address; kernel half, canonical.</param>
    /// <param name="to">The last address, inclusive (so that a range may end at 2^64 − 1).</param>
    /// <exception cref="KaslrMtException">KMT5002 when the guest goes away, KMT5012 when the tables do not end.</exception>
    public IEnumerable<Mapping> Leaves(VirtualAddress from, VirtualAddress to)
    {
        var rows = new TableRow[levels];
        for (int i = 0; i < levels; i++)
        {
            rows[i] = new TableRow(i, from.Value, to.Value);
        }

        int level = levels - 1;
        rows[level].ReadRoot(memory, root, ulong.MaxValue << (12 + (IndexBits * levels)));
        int tables = 1 + rows[level - 1].ReadBelow(memory, rows[level]);
        while (level < levels)
        {
            TableRow row = rows[level];
            if (!row.TryNext(out ulong address, out ulong entry, out ulong rights))
            {
                level++;
            }
            else if (IsLeaf(level, entry))
            {
                ulong span = 1UL << (12 + (IndexBits * level));
                yield return new Mapping(new VirtualAddress(address), new PhysicalAddress(entry & AddressMask & ~(span - 1)), span, Limit(entry & FlagMask, rights));
            }
            else
            {
                level--;
                rows[level].EnterNext(address, Limit(entry, rights) & RightsMask);
                tables += level == 0 ? 0 : rows[level - 1].ReadBelow(memory, rows[level]);
                if (tables > MaximumTables)
                {
                    throw new KaslrMtException(
                        GuestErrors.HostileTables, $"the guest's page tables at {root} have more than {MaximumTables} tables", "they are corrupt or hostile");
                }
            }
        }
    }

    /// <summary>The leaf that maps an address.</summary>
    /// <returns>False when none does, or a table on the way lies outside RAM.</returns>
    /// <exception cref="KaslrMtException">KMT5002 when the guest goes away.</exception>
    public bool TryTranslate(VirtualAddress address, out Mapping mapping)
    {
        mapping = default;
        PhysicalAddress table = root;
        ulong rights = FullRights;
        Span<byte> word = stackalloc byte[sizeof(ulong)];
        for (int level = levels - 1; level >= 0; level--)
        {
            int shift = 12 + (IndexBits * level);
            ulong index = (address.Value >> shift) & (EntriesPerTable - 1);
            if (!memory.TryRead(table + (index * sizeof(ulong)), word))
            {
                return false;
            }

            ulong entry = BinaryPrimitives.ReadUInt64LittleEndian(word);
            if ((entry & Present) == 0)
            {
                return false;
            }

            if (IsLeaf(level, entry))
            {
                ulong span = 1UL << shift;
                mapping = new Mapping(
                    new VirtualAddress(address.Value & ~(span - 1)), new PhysicalAddress(entry & AddressMask & ~(span - 1)), span, Limit(entry & FlagMask, rights));
                return true;
            }

            rights = Limit(entry, rights) & RightsMask;
            table = new PhysicalAddress(entry & AddressMask);
        }

        return false;
    }

    // Every level above can take away: a page is writable and the users' when all say so, and not to be run when one says so.
    private static ulong Limit(ulong entry, ulong rights) => (entry & (rights | ~(Writable | User))) | (rights & NoExecute);

    internal static bool IsLeaf(int level, ulong entry) => level == 0 || (level <= HighestLargeLevel && (entry & LargePage) != 0);
}

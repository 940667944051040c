using System.Buffers.Binary;

namespace KaslrMt.Guests;

/// <summary>A run of the kernel half's pages with one set of permissions, as the processor has them: all levels together.</summary>
/// <remarks>
/// A page is writable or the user's only if every level says so, and not executable if any level says so (Intel SDM volume 3, 4.6 "Access rights").
/// </remarks>
/// <param name="Address">The first virtual address.</param>
/// <param name="Target">What it maps to.</param>
/// <param name="Length">Bytes; the run is contiguous on both sides.</param>
/// <param name="IsWritable">Whether the kernel may write there.</param>
/// <param name="IsExecutable">Whether the kernel may execute what is there.</param>
/// <param name="IsUser">Whether the guest's programs may use it.</param>
internal readonly record struct KernelPages(VirtualAddress Address, PhysicalAddress Target, ulong Length, bool IsWritable, bool IsExecutable, bool IsUser)
{
    private const int EntriesPerTable = 512;
    private const int PageSize = 4096;
    private const ulong Present = 1;
    private const ulong Writable = 1 << 1;
    private const ulong User = 1 << 2;
    private const ulong LargePage = 1 << 7;
    private const ulong NotExecutable = 1UL << 63;
    private const ulong AddressMask = 0x000ffffffffff000;

    // As in PageTableWalk: hostile tables end here.
    private const int MostTables = 1 << 17;
    private const int MostRuns = 1 << 16;

    /// <summary>The first address behind the run.</summary>
    public VirtualAddress End => Address + Length;

    /// <summary>All pages that are writable and executable, or the users', in the kernel half.</summary>
    /// <exception cref="KaslrMtException">KMT5012 when the tables do not end; KMT50xx when the guest goes away.</exception>
    public static List<KernelPages> Unusual(PageTableWalk tables, IGuestMemory memory)
    {
        var walk = new Walk(memory);
        walk.Visit(tables.Root, tables.Levels - 1, ulong.MaxValue << (12 + (9 * tables.Levels)), Writable | User, EntriesPerTable / 2);
        return walk.Runs;
    }

    private sealed class Walk(IGuestMemory memory)
    {
        private int _tables;

        public List<KernelPages> Runs { get; } = [];

        /// <param name="table">The table.</param>
        /// <param name="level">0 for the lowest.</param>
        /// <param name="start">The first address that it maps.</param>
        /// <param name="rights">What the levels above allow; not executable where that bit is set.</param>
        /// <param name="first">The first entry to look at.</param>
        public void Visit(PhysicalAddress table, int level, ulong start, ulong rights, int first = 0)
        {
            if (++_tables > MostTables || Runs.Count > MostRuns)
            {
                throw new KaslrMtException(GuestErrors.HostileTables, $"the guest's page tables have more than {MostTables} tables, or {MostRuns} runs of unusual pages", "they are corrupt or hostile");
            }

            Span<byte> entries = stackalloc byte[PageSize];
            if (!memory.TryRead(table, entries))
            {
                return;
            }

            int shift = 12 + (9 * level);
            for (int i = first; i < EntriesPerTable; i++)
            {
                ulong entry = BinaryPrimitives.ReadUInt64LittleEndian(entries[(i * sizeof(ulong))..]);
                if ((entry & Present) == 0)
                {
                    continue;
                }

                ulong allowed = (rights & entry & (Writable | User)) | ((rights | entry) & NotExecutable);

                // Nothing below can be writable and executable, or the users': most tables are never read.
                bool unusual = (allowed & User) != 0 || (allowed & (Writable | NotExecutable)) == Writable;
                if (!unusual)
                {
                    continue;
                }

                ulong address = start + ((ulong)i << shift);
                if (level == 0 || (level <= 2 && (entry & LargePage) != 0))
                {
                    ulong span = 1UL << shift;
                    Add(new KernelPages(
                        new VirtualAddress(address), new PhysicalAddress(entry & AddressMask & ~(span - 1)), span,
                        (allowed & Writable) != 0, (allowed & NotExecutable) == 0, (allowed & User) != 0));
                }
                else
                {
                    Visit(new PhysicalAddress(entry & AddressMask), level - 1, address, allowed);
                }
            }
        }

        private void Add(KernelPages pages)
        {
            if (Runs.Count > 0 && Runs[^1] is var last && last.End == pages.Address && last.Target + last.Length == pages.Target
                && last.IsWritable == pages.IsWritable && last.IsExecutable == pages.IsExecutable && last.IsUser == pages.IsUser)
            {
                Runs[^1] = last with { Length = last.Length + pages.Length };
                return;
            }

            Runs.Add(pages);
        }
    }
}

using System.Buffers.Binary;
using KaslrMt.Kernels;

namespace KaslrMt.Guests;

/// <summary>Finds a kernel in memory: from a hint, from its image, or from nothing.</summary>
internal sealed class KernelFinder(IGuestMemory memory, KernelHints hints)
{
    private const ulong TextStart = 0xffffffff80000000;
    private const ulong TextEnd = 0xffffffffbfffffff;
    private const ulong UserTablesBit = 1UL << 12;
    private const ulong ImageStep = 2 << 20;
    private const int LastEntry = 511;
    private const int LargestRun = 256 << 20;
    private const string TopTableSymbol = "init_top_pgt";

    // Debian's largest needs 60 MB; a kernel with everything built in has been seen at 200.
    private const ulong MaximumSpan = 512 << 20;

    // Hostile memory may hold any number of tables that look right. Real guests have two: the kernel's, and under page-table isolation the users'.
    private const int MostTries = 16;
    private const ulong MostBytes = 1UL << 30;

    private readonly TextTableSearch _search = new(memory);
    private int _tries;
    private ulong _bytes;
    private string _problem = "no page in its RAM is a page table that leads to one";

    /// <summary>Finds it. With an image: without symbols when it is that kernel, else with those of the one that is there.</summary>
    /// <exception cref="KaslrMtException">KMT5011, KMT50xx.</exception>
    public FoundKernel Find()
    {
        if (hints.Image is { } image && TryImage(image) is { } known)
        {
            return known;
        }

        return Search() ?? throw NoKernel(_problem);
    }

    /// <summary>The symbols of a kernel, out of its memory.</summary>
    /// <exception cref="KaslrMtException">KMT5011 when it has none; KMT50xx.</exception>
    public static Kallsyms ReadSymbols(IGuestMemory memory, PageTableWalk tables) =>
        TryReadSymbols(memory, Text(tables), out KaslrMtException? error) ?? throw NoKernel($"there is no symbol table in it ({error?.Problem})");

    private FoundKernel? Search()
    {
        IEnumerable<TextTable> candidates = _search.All();
        if (hints.TopTable is PhysicalAddress cr3)
        {
            var top = new PhysicalAddress(cr3.Value & PageTableWalk.AddressMask);

            // Under page-table isolation (arch/x86/mm/pti.c) bit 12 selects the tables of user mode; the kernel's lie one page below. And of five
            // levels, the table that the last entry leads to is the one that leads to the text.
            PhysicalAddress[] tops = [new(top.Value & ~UserTablesBit), top];
            candidates = _search.Of([.. tops, .. tops.Select(Last).OfType<PhysicalAddress>()]).Concat(candidates);
        }

        foreach (TextTable candidate in candidates)
        {
            if (++_tries > MostTries || _bytes > MostBytes)
            {
                _problem = $"{MostTries} tables look as if they led to one, and do not";
                return null;
            }

            if (TryTable(candidate) is { } found)
            {
                return found;
            }
        }

        return null;
    }

    private FoundKernel? TryTable(TextTable candidate)
    {
        var tables = new PageTableWalk(memory, candidate.Top);
        List<Mapping> text = Text(tables);
        if (text.Count == 0)
        {
            _problem = "its text mapping is empty";
            return null;
        }

        _bytes += text[^1].Address + text[^1].Size - text[0].Address;
        if (TryReadSymbols(memory, text, out KaslrMtException? error) is not { } symbols)
        {
            _problem = $"there is no symbol table in it ({error?.Problem})";
            return null;
        }

        symbols.TryResolve([TopTableSymbol], out VirtualAddress?[] top);
        return new FoundKernel(text[0].Address, text[0].Target, Settle(text[0], top[0], candidate) ?? tables, symbols);
    }

    /// <summary>The kernel's own top table, which unlike a process's stays as long as the guest runs; null when it cannot be told.</summary>
    private PageTableWalk? Settle(Mapping text, VirtualAddress? symbol, TextTable candidate)
    {
        if (symbol is not VirtualAddress address || address - text.Address >= MaximumSpan)
        {
            return null;
        }

        PhysicalAddress top = text.Target + (address - text.Address);
        PhysicalAddress? below = Last(top);
        return below == candidate.Table ? new PageTableWalk(memory, top)
            : below is PhysicalAddress next && Last(next) == candidate.Table ? new PageTableWalk(memory, top, levels: 5)
            : null;
    }

    private FoundKernel? TryImage(KernelIdentity image)
    {
        int length = image.Banner.Length;
        foreach (PhysicalAddress[] bases in new RamMap(memory.Ranges).Every(ImageStep).Chunk(1 << 12))
        {
            byte[] banners = new byte[bases.Length * length];
            memory.ReadEach(Array.ConvertAll(bases, at => at + image.BannerOffset), length, banners);
            for (int i = 0; i < bases.Length; i++)
            {
                if (banners.AsSpan(i * length, length).SequenceEqual(image.Banner) && TryImageAt(bases[i], image) is { } found)
                {
                    return found;
                }
            }
        }

        return null;
    }

    // A copy of the image that nothing leads to (what a boot loader left) is not the kernel that runs.
    private FoundKernel? TryImageAt(PhysicalAddress at, KernelIdentity image)
    {
        PhysicalAddress top = at + image.TopTableOffset;
        foreach (int levels in (ReadOnlySpan<int>)[4, 5])
        {
            var tables = new PageTableWalk(memory, top, levels);
            foreach (Mapping mapping in tables.Leaves(new VirtualAddress(TextStart), new VirtualAddress(TextEnd)))
            {
                if (mapping.Target == at)
                {
                    return new FoundKernel(mapping.Address, at, tables, null);
                }

                break;
            }
        }

        return null;
    }

    private PhysicalAddress? Last(PhysicalAddress table)
    {
        Span<byte> word = stackalloc byte[sizeof(ulong)];
        if (!memory.TryRead(table + (LastEntry * sizeof(ulong)), word))
        {
            return null;
        }

        ulong entry = BinaryPrimitives.ReadUInt64LittleEndian(word);
        return (entry & PageTableWalk.Present) == 0 ? null : new PhysicalAddress(entry & PageTableWalk.AddressMask);
    }

    private static List<Mapping> Text(PageTableWalk tables)
    {
        List<Mapping> text = [];
        foreach (Mapping mapping in tables.Leaves(new VirtualAddress(TextStart), new VirtualAddress(TextEnd)))
        {
            // One piece of RAM at one distance is the kernel; anything else in its GiB is not.
            bool same = text.Count == 0 || mapping.Address - new VirtualAddress(mapping.Target.Value) == text[0].Address - new VirtualAddress(text[0].Target.Value);
            if (same && (text.Count == 0 || mapping.Address - text[0].Address < MaximumSpan))
            {
                text.Add(mapping);
            }
        }

        return text;
    }

    private static Kallsyms? TryReadSymbols(IGuestMemory memory, List<Mapping> text, out KaslrMtException? error)
    {
        error = null;
        if (text.Count == 0)
        {
            return null;
        }

        // What is not mapped (freed init memory) stays zero.
        VirtualAddress start = text[0].Address;
        using var image = new NativeBuffer((long)(text[^1].Address + text[^1].Size - start));
        for (int i = 0; i < text.Count;)
        {
            // All of it lies at one distance, so what is adjacent here is adjacent in RAM.
            Mapping first = text[i];
            ulong length = first.Size;
            for (i++; i < text.Count && text[i].Address == first.Address + length && length + text[i].Size <= LargestRun; i++)
            {
                length += text[i].Size;
            }

            _ = memory.TryRead(first.Target, image.Span.Slice((int)(first.Address - start), (int)length));
        }

        return Kallsyms.TryCopy(image.Span, start, out Kallsyms? symbols, out error) ? symbols : null;
    }

    private static KaslrMtException NoKernel(string problem) => new(
        GuestErrors.NoKernel, $"no running Linux kernel is to be seen in the guest's memory: {problem}", "wait until the guest has booted; of a file, see that it is whole and is a Linux guest's RAM (x86-64)");
}

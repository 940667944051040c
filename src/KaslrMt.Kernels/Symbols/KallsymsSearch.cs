using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace KaslrMt.Kernels;

/// <summary>
/// Finds kallsyms tables in a kernel's memory. Nothing outside them says where they are, so the search goes from the one table with
/// contents known in advance (tokens: the ten digits) to its neighbours, each checked against the one before.
/// </summary>
/// <remarks>
/// Memory is hostile. Every loop draws on one budget of steps proportional to the memory's size, so that no arrangement of decoys
/// makes a search slow; a true kernel needs a small part of it.
/// </remarks>
internal ref partial struct KallsymsSearch
{
    /// <summary>Fewest symbols of a kernel. The smallest x86-64 kernels have some thousands; fewer give too little to check.</summary>
    public const int MinSymbols = (MinMarkers - 1) * SymbolsPerMarker;

    /// <summary>Most symbols of a kernel: what the three bytes of an entry of <c>kallsyms_seqs_of_names</c> can number.</summary>
    public const int MaxSymbols = 1 << 24;

    /// <summary>Symbols between two markers.</summary>
    public const int SymbolsPerMarker = 256;

    /// <summary>__START_KERNEL_map: code and data of every x86-64 kernel lie above.</summary>
    private const ulong KernelText = 0xffff_ffff_8000_0000;

    private const int MinMarkers = 4;
    private const int MaxNameBytes = 0x3fff + 2;
    private const int MaxCandidates = 256;

    private readonly ReadOnlySpan<byte> _image;

    // Indexing is inlined even in code compiled ahead of time, which reading through a slice is not.
    private readonly ReadOnlySpan<uint> _words;
    private readonly ulong _imageBase;
    private long _steps;
    private KallsymsFault _fault;

    /// <summary>A search in <paramref name="image"/>, whose first byte has the address <paramref name="imageBase"/>.</summary>
    public KallsymsSearch(ReadOnlySpan<byte> image, VirtualAddress imageBase)
    {
        _image = image;
        _words = MemoryMarshal.Cast<byte, uint>(image);
        _imageBase = imageBase.Value;
        _steps = image.Length + (1L << 20);
    }

    /// <summary>What stopped the candidate that came farthest.</summary>
    public readonly KallsymsFault Fault => _fault;

    /// <summary>Finds the tables.</summary>
    /// <returns>False when there are none, or when they contradict each other: see <see cref="Fault"/>.</returns>
    public bool TryFind(out KallsymsLayout layout, out AddressTable addresses)
    {
        // Code fills the first third of a kernel and holds no tables: begin behind a quarter, and come back for it if need be.
        int quarter = _image.Length / 4;
        int overlap = Math.Min(_image.Length, quarter + TokenTable.Digits.Length - 1);
        int candidates = MaxCandidates;
        return TryFind(quarter, _image.Length, ref candidates, out layout, out addresses)
            || TryFind(0, overlap, ref candidates, out layout, out addresses);
    }

    private bool TryFind(int from, int to, ref int candidates, out KallsymsLayout layout, out AddressTable addresses)
    {
        while (candidates > 0 && _image[from..to].IndexOf(TokenTable.Digits) is >= 0 and int distance)
        {
            from += distance;
            if (TokenTable.TryLocate(_image, from, out int tokens, out int index)
                && TryTables(tokens, index, out layout, out addresses))
            {
                return true;
            }

            candidates--;
            from++;
        }

        layout = default;
        addresses = default;
        return false;
    }

    private bool TryTables(int tokens, int index, out KallsymsLayout layout, out AddressTable addresses)
    {
        layout = default;
        Fail(1, "kallsyms_token_table", tokens, "no kallsyms_markers before it that fit kallsyms_names and kallsyms_num_syms");
        if (!TryNames(tokens, out NameTables names))
        {
            addresses = default;
            return false;
        }

        if (!TryAddresses(names, index, out KallsymsOrder order, out addresses))
        {
            return false;
        }

        int? relativeBase = null;
        int? sequences = names.SequencesOfNames;
        int behind = addresses.Offsets + (names.Count * AddressTable.EntryBytes);
        if (order == KallsymsOrder.OffsetsFirst)
        {
            relativeBase = names.CountAt - sizeof(ulong);
        }
        else
        {
            if (addresses.Addressing != KallsymsAddressing.PlaceRelative)
            {
                relativeBase = RoundUp(behind, sizeof(ulong));
                behind = relativeBase.Value + sizeof(ulong);
            }

            sequences = behind;
        }

        layout = new KallsymsLayout(
            order, addresses.Addressing, names.Count, names.Names, names.Markers, tokens, index, addresses.Offsets, relativeBase, sequences);
        return true;
    }

    private bool TryAddresses(NameTables names, int index, out KallsymsOrder order, out AddressTable addresses)
    {
        order = KallsymsOrder.NamesFirst;
        int bytes = names.Count * AddressTable.EntryBytes;
        int behind = index + TokenTable.IndexBytes;
        for (int alignment = 4; alignment <= 8; alignment += 4)
        {
            int offsets = RoundUp(behind, alignment);
            long relativeBase = ((long)offsets + bytes + 7) & ~7L;
            if (TryBased(offsets, relativeBase, names.Count, out addresses)
                || TryAddressing(KallsymsAddressing.PlaceRelative, offsets, names.Count, _imageBase + (uint)offsets, out addresses))
            {
                return true;
            }
        }

        order = KallsymsOrder.OffsetsFirst;
        int before = names.CountAt - sizeof(ulong);
        return TryBased(before - RoundUp(bytes, sizeof(ulong)), before, names.Count, out addresses);
    }

    private bool TryBased(int offsets, long relativeBase, int count, out AddressTable addresses)
    {
        addresses = default;
        if (offsets < 0 || relativeBase % sizeof(ulong) != 0)
        {
            return false;
        }

        if (relativeBase > _image.Length - sizeof(ulong))
        {
            Fail(3, "kallsyms_relative_base", relativeBase, "the memory ends before it");
            return false;
        }

        ulong origin = BinaryPrimitives.ReadUInt64LittleEndian(_image[(int)relativeBase..]);
        ulong distance = origin > _imageBase ? origin - _imageBase : _imageBase - origin;
        if (distance > AddressTable.Reach)
        {
            if (origin >= KernelText)
            {
                Fail(4, "kallsyms_relative_base", relativeBase, "it is more than 1 GiB away from the address given for this memory");
            }

            return false;
        }

        return TryAddressing(KallsymsAddressing.AbsolutePerCpu, offsets, count, origin, out addresses)
            || TryAddressing(KallsymsAddressing.BaseRelative, offsets, count, origin, out addresses);
    }

    private bool TryAddressing(KallsymsAddressing addressing, int offsets, int count, ulong origin, out AddressTable addresses)
    {
        addresses = new AddressTable(addressing, offsets, count, origin);
        if (offsets > _image.Length - (count * AddressTable.EntryBytes))
        {
            Fail(3, "kallsyms_offsets", offsets, "the memory ends inside of it");
            return false;
        }

        if (!Spend(count))
        {
            return false;
        }

        if (addresses.IsPlausible(_image, _imageBase, out int bad))
        {
            return true;
        }

        // A base in its place tells which of the layouts this is, so what is wrong after it says more.
        int stage = addressing == KallsymsAddressing.PlaceRelative ? 3 : 5;
        long entry = offsets + ((long)bad * AddressTable.EntryBytes);
        Fail(stage, "kallsyms_offsets", entry, "its entries are no ascending addresses of this kernel", bad);
        return false;
    }

    private static int RoundUp(int value, int alignment) => value + (-value & (alignment - 1));

    /// <summary>The value at a position divisible by 4.</summary>
    private readonly uint ReadUInt32(int at) => _words[at / sizeof(uint)];

    private bool Spend(long steps) => (_steps -= steps) >= 0;

    private void Fail(int stage, string table, long position, string problem, int symbol = 0)
    {
        if (stage > _fault.Stage || (stage == _fault.Stage && symbol > _fault.Symbol))
        {
            _fault = new KallsymsFault(stage, symbol, table, position, problem);
        }
    }
}

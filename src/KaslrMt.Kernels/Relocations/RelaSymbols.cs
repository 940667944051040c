using System.Buffers.Binary;
using System.Text;

namespace KaslrMt.Kernels;

/// <summary>The symbol table that relocations refer to; each symbol is looked at once, when the first relocation names it.</summary>
internal readonly ref struct RelaSymbols
{
    private const int SymbolSize = 24;
    private const int UndefinedSection = 0;
    private const int FirstReservedSection = 0xff00;
    private const int AbsoluteSection = 0xfff1;
    private const int MaximumNameShown = 64;

    /// <summary>Far above any symbol's (KSYM_NAME_LEN is 512); it keeps a hostile table from being searched over and over.</summary>
    private const int MaximumNameLength = 4096;

    private readonly ReadOnlySpan<byte> _symbols;
    private readonly ReadOnlySpan<byte> _names;
    private readonly RelaSymbolKind[] _kinds;
    private readonly ElfImage _elf;
    private readonly int _perCpuSection;

    internal RelaSymbols(ReadOnlySpan<byte> file, ElfImage elf, int section, int perCpuSection)
    {
        ElfSection symbols = elf.Sections[section];
        if (symbols.Type != ElfSectionType.Symbols || symbols.EntrySize != SymbolSize || symbols.FileSize % SymbolSize != 0)
        {
            throw RelaReader.Damaged(
                KernelErrors.RelaSection,
                $"section {section} ({symbols.Name}) that relocations refer to: expected a symbol table of {SymbolSize}-byte entries, "
                + $"found type {(uint)symbols.Type} with 0x{symbols.FileSize:x} bytes in entries of 0x{symbols.EntrySize:x}");
        }

        if (symbols.Link >= elf.Sections.Length || elf.Sections[(int)symbols.Link].Type != ElfSectionType.Strings)
        {
            throw RelaReader.Damaged(
                KernelErrors.RelaSection,
                $"symbol table {section} ({symbols.Name}): expected sh_link to be a string table, found section {symbols.Link}");
        }

        ElfSection names = elf.Sections[(int)symbols.Link];
        _elf = elf;
        _symbols = file.Slice(symbols.FileOffset, symbols.FileSize);
        _names = file.Slice(names.FileOffset, names.FileSize);
        _kinds = new RelaSymbolKind[symbols.FileSize / SymbolSize];
        _perCpuSection = perCpuSection;
    }

    internal RelaSymbolKind Kind(uint index)
    {
        if (index >= _kinds.Length)
        {
            throw RelaReader.Damaged(
                KernelErrors.RelaSymbol,
                $"a relocation names symbol {index}: expected below {_kinds.Length}, the symbol table's length");
        }

        RelaSymbolKind kind = _kinds[index];
        if (kind == RelaSymbolKind.Unknown)
        {
            kind = Classify(index);
            _kinds[index] = kind;
        }

        return kind;
    }

    /// <summary>The symbol's value: for a defined symbol its link address.</summary>
    internal ulong Value(uint index) => BinaryPrimitives.ReadUInt64LittleEndian(_symbols[((int)index * SymbolSize)..][8..]);

    /// <summary>The name for a message, with nothing in it that a terminal would obey.</summary>
    internal string ShownName(uint index)
    {
        ReadOnlySpan<byte> name = Name(index);
        char[] shown = Encoding.Latin1.GetString(name[..Math.Min(name.Length, MaximumNameShown)]).ToCharArray();
        return new string(Array.ConvertAll(shown, character => character is > ' ' and < '\u007f' ? character : '?'));
    }

    private RelaSymbolKind Classify(uint index)
    {
        int section = BinaryPrimitives.ReadUInt16LittleEndian(_symbols[((int)index * SymbolSize)..][6..]);
        if (section == UndefinedSection)
        {
            return RelaSymbolKind.Undefined;
        }

        ReadOnlySpan<byte> name = Name(index);
        if (section == AbsoluteSection)
        {
            return AbsoluteSymbols.Classify(name);
        }

        if (section >= FirstReservedSection || section >= _elf.Sections.Length)
        {
            throw RelaReader.Damaged(
                KernelErrors.RelaSymbol,
                $"symbol {index} ({ShownName(index)}): expected a section below {_elf.Sections.Length}, found 0x{section:x}");
        }

        // Linkers attach a few symbols to the per-CPU section only because they come next to it: those are addresses.
        bool perCpu = section == _perCpuSection
            && !name.SequenceEqual("__init_begin"u8)
            && !name.SequenceEqual("__per_cpu_load"u8)
            && !name.StartsWith("init_per_cpu_"u8);
        return perCpu ? RelaSymbolKind.PerCpu : RelaSymbolKind.Moves;
    }

    private ReadOnlySpan<byte> Name(uint index)
    {
        uint offset = BinaryPrimitives.ReadUInt32LittleEndian(_symbols[((int)index * SymbolSize)..]);
        if (offset == 0)
        {
            // A section's own symbol: it goes by its section and is in none of the lists of names.
            return default;
        }

        ReadOnlySpan<byte> rest = offset < _names.Length ? _names[(int)offset..] : default;
        int length = rest[..Math.Min(rest.Length, MaximumNameLength)].IndexOf((byte)0);
        return length >= 0
            ? rest[..length]
            : throw RelaReader.Damaged(
                KernelErrors.RelaSymbol,
                $"symbol {index}: expected a name that ends within {MaximumNameLength} bytes and the string table of 0x{_names.Length:x}, "
                + $"found offset 0x{offset:x}");
    }
}

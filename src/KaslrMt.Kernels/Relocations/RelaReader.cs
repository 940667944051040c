using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace KaslrMt.Kernels;

/// <summary>
/// Decides for every relocation of a linked vmlinux whether its bytes change when the kernel moves, by the rules of
/// <c>arch/x86/tools/relocs.c</c>: addresses do, distances inside the kernel do not, and with zero-based per-CPU data (before
/// 6.15) it is the other way round for what refers to that.
/// </summary>
internal readonly ref partial struct RelaReader
{
    private const int EntrySize = 24;

    private readonly ReadOnlySpan<byte> _file;
    private readonly ElfImage _elf;
    private readonly int _perCpuSection;
    private readonly List<uint> _add32 = [];
    private readonly List<uint> _subtract32 = [];
    private readonly List<uint> _add64 = [];
    private readonly HashSet<uint> _slots = [];

    internal RelaReader(ReadOnlySpan<byte> file, ElfImage elf)
    {
        _file = file;
        _elf = elf;
        _perCpuSection = FindZeroBasedPerCpu(elf);
    }

    internal static KaslrMtException Damaged(ErrorCode code, string problem) =>
        new(
            code,
            $"kernel ELF: {problem}",
            "the vmlinux is damaged or of a kind this version does not know, give the bzImage of the same build");

    internal RelocationTable Read()
    {
        RelaSymbols symbols = default;
        int symbolSection = -1;
        long size = 0;
        foreach (ElfSection section in _elf.Sections)
        {
            if (section.Type != ElfSectionType.RelocationsWithAddend || !AppliesToLoaded(section))
            {
                continue;
            }

            // One symbol table, and no byte read twice: else a small file could ask for work without end.
            size += section.FileSize;
            CheckSection(section, symbolSection, size);
            if (symbolSection < 0)
            {
                symbolSection = (int)section.Link;
                symbols = new RelaSymbols(_file, _elf, symbolSection, _perCpuSection);
            }

            ReadSection(section, symbols);
        }

        return symbolSection >= 0 ? Collect() : throw new KaslrMtException(
            KernelErrors.NoRelaSections,
            $"kernel ELF: none of its {_elf.Sections.Length} sections holds relocations (.rela) of loaded memory",
            "give the bzImage, or a vmlinux linked with --emit-relocs from which they were not stripped (vmlinux.unstripped)");
    }

    private RelocationTable Collect()
    {
        _add64.AddRange(_slots);
        return new RelocationTable(
            ToList(_add32, sizeof(uint), "32-bit"),
            ToList(_subtract32, sizeof(uint), "inverse 32-bit"),
            ToList(_add64, sizeof(ulong), "64-bit"),
            _perCpuSection >= 0);
    }

    private static int FindZeroBasedPerCpu(ElfImage elf)
    {
        for (int index = 0; index < elf.Sections.Length; index++)
        {
            if (elf.Sections[index].Name == ".data..percpu")
            {
                return elf.Sections[index].Address.Value == 0 ? index : -1;
            }
        }

        return -1;
    }

    /// <summary>Debug information is not loaded, notes are read before the kernel runs: both keep their values.</summary>
    private bool AppliesToLoaded(ElfSection rela)
    {
        if (rela.Info >= _elf.Sections.Length)
        {
            throw Damaged(
                KernelErrors.RelaSection, $"section {rela.Name}: expected sh_info below {_elf.Sections.Length}, found {rela.Info}");
        }

        ElfSection changed = _elf.Sections[(int)rela.Info];
        return changed.Flags.HasFlag(ElfSectionFlags.Allocate) && changed.Type != ElfSectionType.Note;
    }

    private void CheckSection(ElfSection rela, int symbolSection, long sizeSoFar)
    {
        bool linked = symbolSection < 0 ? rela.Link < _elf.Sections.Length : rela.Link == symbolSection;
        if (rela.EntrySize != EntrySize || rela.FileSize % EntrySize != 0 || !linked || sizeSoFar > _file.Length)
        {
            throw Damaged(
                KernelErrors.RelaSection,
                $"section {rela.Name}: expected entries of {EntrySize} bytes, the one symbol table as sh_link and no overlap with others, "
                + $"found 0x{rela.FileSize:x} bytes in entries of 0x{rela.EntrySize:x} and sh_link {rela.Link}");
        }
    }

    private void ReadSection(ElfSection rela, RelaSymbols symbols)
    {
        ulong moved = rela.Info == _perCpuSection ? PerCpuLoadAddress() : 0;
        ReadOnlySpan<byte> entries = _file.Slice(rela.FileOffset, rela.FileSize);
        for (; !entries.IsEmpty; entries = entries[EntrySize..])
        {
            ulong place = unchecked(BinaryPrimitives.ReadUInt64LittleEndian(entries) + moved);
            var type = (RelaType)BinaryPrimitives.ReadUInt32LittleEndian(entries[8..]);
            uint symbol = BinaryPrimitives.ReadUInt32LittleEndian(entries[12..]);
            RelaSymbolKind kind = symbols.Kind(symbol);
            if (kind != RelaSymbolKind.Undefined)
            {
                Sort(symbols, place, type, symbol, kind, BinaryPrimitives.ReadInt64LittleEndian(entries[16..]));
            }
        }
    }

    /// <summary>Where zero-based per-CPU data is loaded (<c>__per_cpu_load</c>), from the segment that holds its bytes.</summary>
    private ulong PerCpuLoadAddress()
    {
        ElfSection section = _elf.Sections[_perCpuSection];
        foreach (ElfSegment load in _elf.Loads)
        {
            if (section.FileOffset >= load.FileOffset && section.FileOffset < load.FileEnd)
            {
                return load.PhysicalAddress.Value + (ulong)(section.FileOffset - load.FileOffset) + ElfImage.StartKernelMap;
            }
        }

        throw Damaged(
            KernelErrors.RelaSection,
            $"section {section.Name}: its bytes at offset 0x{section.FileOffset:x} are in no loaded segment");
    }

    private void Sort(RelaSymbols symbols, ulong place, RelaType type, uint symbol, RelaSymbolKind kind, long addend)
    {
        switch (type)
        {
            case RelaType.None:
                return;

            case RelaType.Relative32 or RelaType.Procedure32:
                AddDistance(place, kind);
                return;

            case RelaType.Relative64 when kind != RelaSymbolKind.PerCpu:
                return;

            case RelaType.Absolute64 or RelaType.Absolute32 or RelaType.AbsoluteSigned32:
                if (Moves(symbols, place, symbol, kind))
                {
                    (type == RelaType.Absolute64 ? _add64 : _add32).Add(Entry(place));
                }

                return;

            case RelaType.OffsetTable or RelaType.OffsetTableRelaxed or RelaType.OffsetTableRelaxedRex:
                SortOffsetTable(symbols, place, symbol, kind, addend);
                return;

            default:
                throw Damaged(
                    KernelErrors.RelaType,
                    $"relocation at link address 0x{place:x16} to symbol {symbols.ShownName(symbol)}: "
                    + $"type {(uint)type} is not supported there");
        }
    }

    private void AddDistance(ulong place, RelaSymbolKind kind)
    {
        if (kind == RelaSymbolKind.PerCpu)
        {
            _subtract32.Add(Entry(place));
        }
    }

    private static bool Moves(RelaSymbols symbols, ulong place, uint symbol, RelaSymbolKind kind) =>
        kind != RelaSymbolKind.Absolute
            ? kind == RelaSymbolKind.Moves
            : throw Damaged(
                KernelErrors.RelaAbsolute,
                $"relocation at link address 0x{place:x16}: symbol {symbols.ShownName(symbol)} is absolute, "
                + "and not one of those known to be a constant or an address");

    private static uint Entry(ulong place) =>
        place >= ElfImage.StartKernelMap
            ? (uint)place
            : throw Damaged(
                KernelErrors.RelocationOutside,
                $"relocation at link address 0x{place:x16}: expected an address of the kernel's mapping, "
                + $"from 0x{ElfImage.StartKernelMap:x16} on");

    private RelocationList ToList(List<uint> entries, int width, string name)
    {
        uint[] array = CollectionsMarshal.AsSpan(entries).ToArray();
        return RelocationList.Create(_elf, array, 0, array.Length, width, name);
    }
}

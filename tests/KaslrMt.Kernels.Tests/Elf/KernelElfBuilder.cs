using System.Buffers.Binary;
using System.Text;

namespace KaslrMt.Kernels.Tests;

/// <summary>
/// A hand-made vmlinux of a few kilobytes: text, data with zero memory behind it, per-CPU data (zero-based or not), a note,
/// debug information; symbols and .rela sections as a linker with --emit-relocs leaves them.
/// </summary>
internal sealed class KernelElfBuilder(bool zeroBasedPerCpu = true)
{
    internal const ulong TextAddress = 0xffffffff81000000;
    internal const ulong DataAddress = 0xffffffff81200000;
    internal const ulong PerCpuLoadAddress = 0xffffffff81400000;
    internal const int TextOffset = 0x1000;
    internal const int DataOffset = 0x2000;
    internal const int PerCpuOffset = 0x3000;
    internal const int SegmentSize = 0x1000;
    internal const int ZeroSize = 0x800;
    internal const int Text = 1;
    internal const int Note = 2;
    internal const int Data = 3;
    internal const int PerCpu = 4;
    internal const int Debug = 5;
    internal const int Absolute = 0xfff1;
    private const int NoteSize = 0x100;
    private const int FirstRela = 6;

    private static readonly string[] SectionNames = ["", ".text", ".notes", ".data", ".data..percpu", ".debug_info"];

    private readonly List<byte> _symbols = [.. new byte[24]];
    private readonly List<byte> _names = [0];
    private readonly SortedDictionary<int, List<byte>> _relocations = [];
    private readonly byte[] _contents = new byte[0x4000];

    internal ulong PerCpuAddress => zeroBasedPerCpu ? 0 : PerCpuLoadAddress;

    /// <summary>The contents from file offset 0 on; headers are written over the first page.</summary>
    internal Span<byte> Contents => _contents;

    internal uint AddSymbol(string name, int section, ulong value)
    {
        Span<byte> symbol = stackalloc byte[24];
        if (name.Length > 0)
        {
            BinaryPrimitives.WriteInt32LittleEndian(symbol, _names.Count);
            _names.AddRange([.. Encoding.Latin1.GetBytes(name), 0]);
        }

        BinaryPrimitives.WriteUInt16LittleEndian(symbol[6..], (ushort)section);
        BinaryPrimitives.WriteUInt64LittleEndian(symbol[8..], value);
        _symbols.AddRange(symbol);
        return (uint)(_symbols.Count / 24) - 1;
    }

    internal void AddRelocation(int section, uint type, ulong place, uint symbol, long addend = 0)
    {
        if (!_relocations.TryGetValue(section, out List<byte>? entries))
        {
            _relocations[section] = entries = [];
        }

        Span<byte> entry = stackalloc byte[24];
        BinaryPrimitives.WriteUInt64LittleEndian(entry, place);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[8..], type);
        BinaryPrimitives.WriteUInt32LittleEndian(entry[12..], symbol);
        BinaryPrimitives.WriteInt64LittleEndian(entry[16..], addend);
        entries.AddRange(entry);
    }

    /// <summary>The file, and behind it a table of these words.</summary>
    internal byte[] Build(params ReadOnlySpan<uint> table)
    {
        var file = new List<byte>(_contents);
        List<byte[]> sections = [.. FixedSections()];
        int symbolTable = FirstRela + _relocations.Count;
        var names = new List<byte>(Encoding.Latin1.GetBytes(string.Join('\0', SectionNames) + "\0.rela\0.symtab\0.strtab\0"));
        foreach ((int section, List<byte> entries) in _relocations)
        {
            sections.Add(Section(NameOffset(names, ".rela"), 4, 0, 0, Append(file, entries), entries.Count, symbolTable, section, 24));
        }

        sections.Add(Section(NameOffset(names, ".symtab"), 2, 0, 0, Append(file, _symbols), _symbols.Count, symbolTable + 1, 1, 24));
        sections.Add(Section(NameOffset(names, ".strtab"), 3, 0, 0, Append(file, _names), _names.Count, 0, 0, 0));
        sections.Add(Section(NameOffset(names, ".strtab"), 3, 0, 0, Append(file, names), names.Count, 0, 0, 0));
        Append(file, new byte[-file.Count & 7]);
        int headers = file.Count;
        sections.ForEach(section => file.AddRange(section));
        WriteHeaders(_contents, headers, sections.Count);
        byte[] result = [.. file, .. new byte[table.Length * 4]];
        _contents.AsSpan(0, 0x200).CopyTo(result);
        for (int index = 0; index < table.Length; index++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(result.AsSpan(file.Count + (index * 4)), table[index]);
        }

        return result;
    }

    private static int NameOffset(List<byte> names, string name) =>
        Encoding.Latin1.GetString([.. names]).IndexOf(name + "\0", StringComparison.Ordinal);

    private static int Append(List<byte> file, IReadOnlyCollection<byte> bytes)
    {
        int at = file.Count;
        file.AddRange(bytes);
        return at;
    }

    private IEnumerable<byte[]> FixedSections()
    {
        var names = new List<byte>(Encoding.Latin1.GetBytes(string.Join('\0', SectionNames) + "\0"));
        yield return new byte[64];
        yield return Section(NameOffset(names, ".text"), 1, 6, TextAddress, TextOffset, SegmentSize - NoteSize, 0, 0, 0);
        yield return Section(NameOffset(names, ".notes"), 7, 2, TextAddress + 0xf00, TextOffset + 0xf00, NoteSize, 0, 0, 0);
        yield return Section(NameOffset(names, ".data"), 1, 3, DataAddress, DataOffset, SegmentSize, 0, 0, 0);
        yield return Section(NameOffset(names, ".data..percpu"), 1, 3, PerCpuAddress, PerCpuOffset, SegmentSize, 0, 0, 0);
        yield return Section(NameOffset(names, ".debug_info"), 1, 0, 0, 0x800, 0x100, 0, 0, 0);
    }

    private static byte[] Section(int name, uint type, ulong flags, ulong address, int offset, int size, int link, int info, int entrySize)
    {
        byte[] header = new byte[64];
        BinaryPrimitives.WriteInt32LittleEndian(header, name);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(4), type);
        BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(8), flags);
        BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(16), address);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(24), offset);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(32), size);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(40), link);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(44), info);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(56), entrySize);
        return header;
    }

    private void WriteHeaders(Span<byte> file, int sectionHeaders, int sections)
    {
        ((ReadOnlySpan<byte>)[0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1]).CopyTo(file);
        BinaryPrimitives.WriteUInt16LittleEndian(file[16..], 2);
        BinaryPrimitives.WriteUInt16LittleEndian(file[18..], 62);
        BinaryPrimitives.WriteUInt32LittleEndian(file[20..], 1);
        BinaryPrimitives.WriteUInt64LittleEndian(file[24..], 0x1000040);
        BinaryPrimitives.WriteUInt64LittleEndian(file[32..], 64);
        BinaryPrimitives.WriteUInt64LittleEndian(file[40..], (ulong)sectionHeaders);
        BinaryPrimitives.WriteUInt16LittleEndian(file[52..], 64);
        BinaryPrimitives.WriteUInt16LittleEndian(file[54..], 56);
        BinaryPrimitives.WriteUInt16LittleEndian(file[56..], 4);
        BinaryPrimitives.WriteUInt16LittleEndian(file[58..], 64);
        BinaryPrimitives.WriteUInt16LittleEndian(file[60..], (ushort)sections);
        BinaryPrimitives.WriteUInt16LittleEndian(file[62..], (ushort)(sections - 1));
        WriteSegment(file[64..], 1, 5, TextOffset, TextAddress, TextAddress, SegmentSize, SegmentSize);
        WriteSegment(file[120..], 1, 6, DataOffset, DataAddress, DataAddress, SegmentSize, SegmentSize + ZeroSize);
        WriteSegment(file[176..], 1, 6, PerCpuOffset, PerCpuAddress, PerCpuLoadAddress, SegmentSize, SegmentSize);
        WriteSegment(file[232..], 4, 0, TextOffset + 0xf00, TextAddress + 0xf00, TextAddress + 0xf00, NoteSize, NoteSize);
    }

    private static void WriteSegment(
        Span<byte> header, uint type, uint flags, int offset, ulong address, ulong loadAddress, int fileSize, int memorySize)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(header, type);
        BinaryPrimitives.WriteUInt32LittleEndian(header[4..], flags);
        BinaryPrimitives.WriteInt64LittleEndian(header[8..], offset);
        BinaryPrimitives.WriteUInt64LittleEndian(header[16..], address);
        BinaryPrimitives.WriteUInt64LittleEndian(header[24..], loadAddress - 0xffffffff80000000);
        BinaryPrimitives.WriteInt64LittleEndian(header[32..], fileSize);
        BinaryPrimitives.WriteInt64LittleEndian(header[40..], memorySize);
        BinaryPrimitives.WriteInt64LittleEndian(header[48..], 0x1000);
    }
}

using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text;

namespace KaslrMt.Kernels;

/// <summary>Reads and checks the section headers; an image may have none.</summary>
internal static class ElfSectionReader
{
    internal const int HeaderSize = 64;

    /// <summary>From SHN_LORESERVE on an index means something else; the extended numbering behind it is not supported.</summary>
    private const int MaximumSections = 0xff00 - 1;

    private const int MaximumNameLength = 255;

    internal static ImmutableArray<ElfSection> Read(ReadOnlySpan<byte> file, out int end)
    {
        end = 0;
        ulong table = BinaryPrimitives.ReadUInt64LittleEndian(file[40..]);
        ushort entrySize = BinaryPrimitives.ReadUInt16LittleEndian(file[58..]);
        ushort count = BinaryPrimitives.ReadUInt16LittleEndian(file[60..]);
        if (table == 0 && count == 0)
        {
            return [];
        }

        if (count is 0 or > MaximumSections)
        {
            throw ElfReader.Damaged(KernelErrors.SectionHeaders, "e_shnum", 60, $"1 to {MaximumSections}", count);
        }

        if (entrySize != HeaderSize)
        {
            throw ElfReader.Damaged(KernelErrors.ElfHeaderSize, "e_shentsize", 58, $"0x{HeaderSize:x}", entrySize);
        }

        ulong size = (ulong)count * HeaderSize;
        if (table < HeaderSize || !ElfReader.Holds(file, table, size))
        {
            string expected = $"0x{HeaderSize:x} to 0x{Math.Max(0, file.Length - (long)size):x}";
            throw ElfReader.Damaged(KernelErrors.SectionHeaders, "e_shoff", 40, expected, table);
        }

        bool named = BinaryPrimitives.ReadUInt16LittleEndian(file[62..]) != 0;
        ReadOnlySpan<byte> names = named ? ReadNames(file, (int)table, count) : default;
        var sections = ImmutableArray.CreateBuilder<ElfSection>(count);
        end = (int)(table + size);
        for (int index = 0; index < count; index++)
        {
            int at = (int)table + (index * HeaderSize);
            ElfSection section = ReadSection(file, at, index);
            sections.Add(named ? section with { Name = ReadName(names, file, at, index) } : section);
            end = Math.Max(end, section.FileOffset + section.FileSize);
        }

        return sections.MoveToImmutable();
    }

    private static ReadOnlySpan<byte> ReadNames(ReadOnlySpan<byte> file, int table, int count)
    {
        ushort index = BinaryPrimitives.ReadUInt16LittleEndian(file[62..]);
        if (index >= count)
        {
            throw ElfReader.Damaged(KernelErrors.SectionName, "e_shstrndx", 62, $"below e_shnum 0x{count:x}", index);
        }

        ElfSection names = ReadSection(file, table + (index * HeaderSize), index);
        if (names.Type != ElfSectionType.Strings)
        {
            string expected = $"a section of type {(uint)ElfSectionType.Strings} (string table)";
            long at = table + (index * HeaderSize) + sizeof(uint);
            throw ElfReader.Damaged(KernelErrors.SectionName, $"sh_type of section {index}", at, expected, (uint)names.Type);
        }

        return file.Slice(names.FileOffset, names.FileSize);
    }

    private static ElfSection ReadSection(ReadOnlySpan<byte> file, int at, int index)
    {
        ReadOnlySpan<byte> header = file.Slice(at, HeaderSize);
        var type = (ElfSectionType)BinaryPrimitives.ReadUInt32LittleEndian(header[4..]);
        ulong fileOffset = BinaryPrimitives.ReadUInt64LittleEndian(header[24..]);
        ulong size = BinaryPrimitives.ReadUInt64LittleEndian(header[32..]);
        bool hasBytes = type is not (ElfSectionType.NoBits or ElfSectionType.Null) && size > 0;
        if (hasBytes && !ElfReader.Holds(file, fileOffset, size))
        {
            string expected = $"at most 0x{file.Length:x} with its sh_size 0x{size:x}";
            throw ElfReader.Damaged(KernelErrors.SectionOutsideFile, $"sh_offset of section {index}", at + 24, expected, fileOffset);
        }

        return new ElfSection(
            string.Empty,
            type,
            (ElfSectionFlags)BinaryPrimitives.ReadUInt64LittleEndian(header[8..]),
            new VirtualAddress(BinaryPrimitives.ReadUInt64LittleEndian(header[16..])),
            hasBytes ? (int)fileOffset : 0,
            hasBytes ? (int)size : 0,
            size,
            BinaryPrimitives.ReadUInt32LittleEndian(header[40..]),
            BinaryPrimitives.ReadUInt32LittleEndian(header[44..]),
            BinaryPrimitives.ReadUInt64LittleEndian(header[56..]));
    }

    private static string ReadName(ReadOnlySpan<byte> names, ReadOnlySpan<byte> file, int at, int index)
    {
        uint offset = BinaryPrimitives.ReadUInt32LittleEndian(file[at..]);
        if (offset >= names.Length)
        {
            throw ElfReader.Damaged(KernelErrors.SectionName, $"sh_name of section {index}", at, $"below 0x{names.Length:x}", offset);
        }

        ReadOnlySpan<byte> rest = names[(int)offset..];
        int length = rest[..Math.Min(rest.Length, MaximumNameLength + 1)].IndexOf((byte)0);
        if (length < 0 || rest[..length].ContainsAnyExceptInRange((byte)' ', (byte)'~'))
        {
            // Names reach messages and terminals: no control characters.
            string expected = $"a printable name that ends within {MaximumNameLength} bytes and the string table";
            throw ElfReader.Damaged(KernelErrors.SectionName, $"sh_name of section {index}", at, expected, offset);
        }

        return Encoding.ASCII.GetString(rest[..length]);
    }
}

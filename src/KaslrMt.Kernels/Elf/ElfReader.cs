using System.Buffers.Binary;
using System.Collections.Immutable;

namespace KaslrMt.Kernels;

/// <summary>Reads and checks the ELF header and the program headers; <see cref="ElfSectionReader"/> reads the sections.</summary>
internal static class ElfReader
{
    private const int HeaderSize = 64;
    private const int ProgramHeaderSize = 56;

    /// <summary>Linux writes 3 to 5; a bound keeps the pairwise work of a hostile file small.</summary>
    private const int MaximumSegments = 64;

    private const ushort MachineX86 = 62;
    private const ushort TypeExecutable = 2;
    private const ushort TypeShared = 3;

    internal static ElfImage Read(ReadOnlySpan<byte> file)
    {
        if (file.Length < HeaderSize || !file.StartsWith("\u007fELF"u8))
        {
            throw Damaged(
                KernelErrors.NotElf,
                "no ELF header",
                0,
                $"{HeaderSize} bytes that begin with 7f 45 4c 46",
                (ulong)file.Length,
                "bytes in the file");
        }

        CheckIdentity(file);
        ImmutableArray<ElfSegment> segments = ReadSegments(file, out int programHeadersEnd);
        ImmutableArray<ElfSection> sections = ElfSectionReader.Read(file, out int sectionsEnd);
        int end = Math.Max(HeaderSize, Math.Max(programHeadersEnd, sectionsEnd));
        foreach (ElfSegment segment in segments)
        {
            end = Math.Max(end, segment.FileSize > 0 ? segment.FileEnd : 0);
        }

        var image = new ElfImage(BinaryPrimitives.ReadUInt64LittleEndian(file[24..]), segments, sections, end);
        ElfLoadCheck.Check(image);
        return image;
    }

    internal static KaslrMtException Damaged(
        ErrorCode code, string what, long offset, string expected, ulong found, string unit = "") =>
        new(
            code,
            $"kernel ELF, file offset 0x{offset:x}: {what}: expected {expected}, found 0x{found:x}{(unit.Length > 0 ? " " : "")}{unit}",
            "the kernel image is damaged or not an x86-64 Linux kernel, take it from its package again");

    private static void CheckIdentity(ReadOnlySpan<byte> file)
    {
        Expect(file[4], 2, 4, "class", "2 (64 bit)");
        Expect(file[5], 1, 5, "byte order", "1 (little-endian)");
        Expect(file[6], 1, 6, "identification version", "1");
        ushort type = BinaryPrimitives.ReadUInt16LittleEndian(file[16..]);
        if (type is not (TypeExecutable or TypeShared))
        {
            throw Damaged(KernelErrors.NotX86Kernel, "e_type", 16, "2 (executable) or 3 (shared)", type);
        }

        Expect(BinaryPrimitives.ReadUInt16LittleEndian(file[18..]), MachineX86, 18, "e_machine", "0x3e (x86-64)");
        Expect(BinaryPrimitives.ReadUInt32LittleEndian(file[20..]), 1, 20, "e_version", "1");
        ushort headerSize = BinaryPrimitives.ReadUInt16LittleEndian(file[52..]);
        if (headerSize != HeaderSize)
        {
            throw Damaged(KernelErrors.ElfHeaderSize, "e_ehsize", 52, $"0x{HeaderSize:x}", headerSize);
        }
    }

    private static void Expect(uint found, uint wanted, long offset, string field, string expected)
    {
        if (found != wanted)
        {
            throw Damaged(KernelErrors.NotX86Kernel, field, offset, expected, found);
        }
    }

    private static ImmutableArray<ElfSegment> ReadSegments(ReadOnlySpan<byte> file, out int end)
    {
        ulong table = BinaryPrimitives.ReadUInt64LittleEndian(file[32..]);
        ushort entrySize = BinaryPrimitives.ReadUInt16LittleEndian(file[54..]);
        ushort count = BinaryPrimitives.ReadUInt16LittleEndian(file[56..]);
        if (count is 0 or > MaximumSegments)
        {
            throw Damaged(KernelErrors.ElfProgramHeaders, "e_phnum", 56, $"1 to {MaximumSegments}", count);
        }

        if (entrySize != ProgramHeaderSize)
        {
            throw Damaged(KernelErrors.ElfHeaderSize, "e_phentsize", 54, $"0x{ProgramHeaderSize:x}", entrySize);
        }

        ulong size = (ulong)count * ProgramHeaderSize;
        if (table < HeaderSize || !Holds(file, table, size))
        {
            throw Damaged(
                KernelErrors.ElfProgramHeaders, "e_phoff", 32, $"0x{HeaderSize:x} to 0x{Math.Max(0, file.Length - (long)size):x}", table);
        }

        var segments = ImmutableArray.CreateBuilder<ElfSegment>(count);
        for (int index = 0; index < count; index++)
        {
            segments.Add(ReadSegment(file, (int)table + (index * ProgramHeaderSize), index));
        }

        end = (int)(table + size);
        return segments.MoveToImmutable();
    }

    internal static bool Holds(ReadOnlySpan<byte> file, ulong offset, ulong size) =>
        offset <= (ulong)file.Length && size <= (ulong)file.Length - offset;

    private static ElfSegment ReadSegment(ReadOnlySpan<byte> file, int at, int index)
    {
        ReadOnlySpan<byte> header = file.Slice(at, ProgramHeaderSize);
        ulong fileOffset = BinaryPrimitives.ReadUInt64LittleEndian(header[8..]);
        ulong virtualAddress = BinaryPrimitives.ReadUInt64LittleEndian(header[16..]);
        ulong physicalAddress = BinaryPrimitives.ReadUInt64LittleEndian(header[24..]);
        ulong fileSize = BinaryPrimitives.ReadUInt64LittleEndian(header[32..]);
        ulong memorySize = BinaryPrimitives.ReadUInt64LittleEndian(header[40..]);
        ulong alignment = BinaryPrimitives.ReadUInt64LittleEndian(header[48..]);
        if (!Holds(file, fileOffset, fileSize))
        {
            string expected = $"at most 0x{file.Length:x} with its p_filesz 0x{fileSize:x}";
            throw Damaged(KernelErrors.SegmentOutsideFile, $"p_offset of segment {index}", at + 8, expected, fileOffset);
        }

        if (fileSize > memorySize)
        {
            string expected = $"at most p_memsz 0x{memorySize:x}";
            throw Damaged(KernelErrors.SegmentFileSize, $"p_filesz of segment {index}", at + 32, expected, fileSize);
        }

        if (virtualAddress > ulong.MaxValue - memorySize || physicalAddress > ulong.MaxValue - memorySize)
        {
            throw Damaged(
                KernelErrors.SegmentAddress, $"p_memsz of segment {index}", at + 40, "an end that does not wrap past 2^64", memorySize);
        }

        if ((alignment & (alignment - 1)) != 0)
        {
            throw Damaged(KernelErrors.SegmentAlignment, $"p_align of segment {index}", at + 48, "0 or a power of two", alignment);
        }

        return new ElfSegment(
            (ElfSegmentType)BinaryPrimitives.ReadUInt32LittleEndian(header),
            (ElfSegmentFlags)BinaryPrimitives.ReadUInt32LittleEndian(header[4..]),
            (int)fileOffset,
            new VirtualAddress(virtualAddress),
            new PhysicalAddress(physicalAddress),
            (int)fileSize,
            memorySize,
            alignment);
    }
}

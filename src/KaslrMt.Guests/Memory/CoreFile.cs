using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Guests;

/// <summary>Opens an ELF core of a guest, as QEMU's <c>dump-guest-memory</c> and <c>virsh dump --memory-only</c> write it.</summary>
/// <remarks>
/// ELF64 little-endian, ET_CORE; RAM is in PT_LOAD segments by <c>p_paddr</c> (QEMU <c>dump/dump.c</c>). QEMU also writes video memory and
/// firmware: below 4 GiB, only what goes on from address 0 is RAM, holes of the first MiB aside.
/// </remarks>
public static class CoreFile
{
    /// <summary>The bytes a file's format is told by.</summary>
    internal const int LongestMark = 16;

    private const int HeaderSize = 64;
    private const int ProgramHeaderSize = 56;
    private const int SectionHeaderSize = 64;
    private const int ManySegments = 0xffff;
    private const int MostSegments = 1 << 16;
    private const int MostNoteBytes = 16 << 20;
    private const uint PtLoad = 1;
    private const uint PtNote = 4;
    private const ulong PageSize = 4096;
    private const ulong FourGiB = 1UL << 32;
    private const ulong LargestHole = 1UL << 20;
    private const ulong MostRam = 1UL << 52;

    /// <summary>Opens the file. One that is cut short is taken as far as it goes, see <see cref="MemoryFile.Missing"/>.</summary>
    /// <exception cref="KaslrMtException">
    /// <see cref="GuestErrors.DumpUnreadable"/>, <see cref="GuestErrors.DumpInvalid"/>, <see cref="GuestErrors.DumpUnsupported"/>.
    /// </exception>
    public static MemoryFile Open(string path)
    {
        SafeFileHandle file = MemoryFile.OpenFile(path);
        try
        {
            return Read(file, path);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Says clearly that a compressed dump is one.</summary>
    /// <exception cref="KaslrMtException"><see cref="GuestErrors.DumpUnsupported"/>.</exception>
    internal static void RefuseCompressed(string path, ReadOnlySpan<byte> start)
    {
        if (start.StartsWith("KDUMP   "u8) || start.StartsWith("DISKDUMP"u8) || start.StartsWith("makedumpfile"u8))
        {
            throw new KaslrMtException(
                GuestErrors.DumpUnsupported, $"{path} is a kdump-compressed dump, which is not supported", "use dump-guest-memory without -z, -l and -s (virsh dump --memory-only --format elf)");
        }
    }

    private static MemoryFile Read(SafeFileHandle file, string path)
    {
        Span<byte> header = stackalloc byte[HeaderSize];
        header = header[..MemoryFile.ReadSome(file, path, 0, header)];
        RefuseCompressed(path, header);
        if (!header.StartsWith("\u007fELF"u8))
        {
            throw Invalid(path, "it is no ELF file", "give raw RAM with --ram");
        }

        const int Elf64 = 2, LittleEndian = 1, Core = 4, X86 = 62;
        if (header.Length < HeaderSize || header[4] != Elf64 || header[5] != LittleEndian || Word16(header, 16) != Core || Word16(header, 18) != X86)
        {
            throw new KaslrMtException(GuestErrors.DumpUnsupported, $"{path} is no ELF core of an x86-64 guest", "use dump-guest-memory on a running 64-bit guest");
        }

        ulong length = (ulong)RandomAccess.GetLength(file);
        ulong table = Word64(header, 32);
        int count = Word16(header, 56);
        if (count == ManySegments)
        {
            // PN_XNUM: the number stands in sh_info of section 0 (elf(5)).
            Span<byte> section = stackalloc byte[SectionHeaderSize];
            count = (int)Math.Min(MostSegments + 1u, Word32(ReadAt(file, path, Word64(header, 40), length, section), 44));
        }

        if (Word16(header, 54) != ProgramHeaderSize || count is 0 or > MostSegments)
        {
            throw Invalid(path, $"it has {count} program headers of {Word16(header, 54)} bytes");
        }

        byte[] headers = new byte[count * ProgramHeaderSize];
        ReadAt(file, path, table, length, headers);
        List<Load> loads = [];
        byte[] notes = [];
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> entry = headers.AsSpan(i * ProgramHeaderSize, ProgramHeaderSize);
            var load = new Load(Word64(entry, 24), Word64(entry, 8), Word64(entry, 32));
            if (Word32(entry, 0) == PtLoad && load.Size > 0 && load.Address < MostRam && load.Size < MostRam && load.Offset < long.MaxValue - MostRam)
            {
                loads.Add(load);
            }
            else if (Word32(entry, 0) == PtNote && load.Size is > 0 and <= MostNoteBytes && notes.Length == 0)
            {
                notes = new byte[load.Size];
                notes = load.Offset >= length ? [] : notes[..MemoryFile.ReadSome(file, path, (long)load.Offset, notes)];
            }
        }

        (List<MemoryFile.Segment> segments, ulong missing) = Place(loads, length);
        return segments.Count > 0
            ? new MemoryFile(file, path, segments, missing, CoreNotes.Read(notes))
            : throw Invalid(path, loads.Count > 0 ? "it is cut short before its first page of RAM" : "it holds no RAM");
    }

    private static (List<MemoryFile.Segment> Segments, ulong Missing) Place(List<Load> loads, ulong length)
    {
        List<MemoryFile.Segment> segments = [];
        ulong missing = 0;
        ulong end = 0;
        foreach (Load load in loads.OrderBy(load => load.Address))
        {
            // With -p the same RAM may be in several segments: once is enough.
            ulong start = Math.Max(load.Address, end);
            ulong stop = load.Address + load.Size;
            if (stop <= start || (start < FourGiB && start - end > LargestHole))
            {
                continue;
            }

            ulong offset = load.Offset + (start - load.Address);
            ulong whole = (stop - start) & ~(PageSize - 1);
            ulong held = offset >= length ? 0 : Math.Min(whole, length - offset) & ~(PageSize - 1);
            missing += whole - held;
            if (held > 0)
            {
                segments.Add(new MemoryFile.Segment(new PhysicalRange(new PhysicalAddress(start), held), (long)offset));
            }

            end = stop;
        }

        return (segments, missing);
    }

    private static ReadOnlySpan<byte> ReadAt(SafeFileHandle file, string path, ulong offset, ulong length, Span<byte> destination) =>
        offset < length && MemoryFile.ReadSome(file, path, (long)offset, destination) == destination.Length
            ? destination
            : throw Invalid(path, $"it ends before its headers at 0x{offset:x}");

    private static ushort Word16(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[offset..]);

    private static uint Word32(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[offset..]);

    private static ulong Word64(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[offset..]);

    private static KaslrMtException Invalid(string path, string problem, string remedy = "take the dump again") =>
        new(GuestErrors.DumpInvalid, $"{path} is no dump of a guest's memory: {problem}", remedy);

    private readonly record struct Load(ulong Address, ulong Offset, ulong Size);
}

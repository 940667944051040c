using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace KaslrMt.Kernels;

/// <summary>Reads a prepared kernel that somebody else made. Nothing in it is believed.</summary>
internal static class PreparedKernelReader
{
    /// <summary>Reads it, and checks every length, segment, relocation and patch site.</summary>
    /// <param name="buffer">The whole file; taken over, and disposed of when it is refused.</param>
    /// <exception cref="KaslrMtException">KMT2801, KMT12xx, KMT22xx, KMT23xx.</exception>
    internal static PreparedKernel Read(NativeBuffer buffer)
    {
        try
        {
            return Parse(buffer);
        }
        catch
        {
            buffer.Dispose();
            throw;
        }
    }

    private static PreparedKernel Parse(NativeBuffer buffer)
    {
        ReadOnlySpan<byte> file = buffer.Span;
        PreparedKernelFormat.RequireLength(file.Length);
        Require(file.StartsWith(PreparedKernelFormat.Magic), "it does not begin with KMTPREP");
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(file[8..]);
        uint flags = BinaryPrimitives.ReadUInt32LittleEndian(file[12..]);
        Require(version == PreparedKernelFormat.Version, $"its version is {version}, expected {PreparedKernelFormat.Version}");
        Require((flags & ~PreparedKernelFormat.InverseFlag) == 0, $"its flags are 0x{flags:x}, expected 0 or 1");
        long total = BinaryPrimitives.ReadInt64LittleEndian(file[16..]);
        Require(total == file.Length, $"it says that it has {total} bytes, and has {file.Length}");

        uint facts = BinaryPrimitives.ReadUInt32LittleEndian(file[24..]);
        uint add64 = BinaryPrimitives.ReadUInt32LittleEndian(file[28..]);
        uint subtract32 = BinaryPrimitives.ReadUInt32LittleEndian(file[32..]);
        uint add32 = BinaryPrimitives.ReadUInt32LittleEndian(file[36..]);
        Require(facts is > 0 and <= PreparedKernelFormat.MostFacts, $"its facts have {facts} bytes, expected 1 to {PreparedKernelFormat.MostFacts}");
        ulong relocations = (ulong)add64 + subtract32 + add32;
        Require(relocations <= RelocationTable.MaximumEntries, $"it has {relocations} relocations, expected up to {RelocationTable.MaximumEntries}");
        bool hasInverse = flags != 0;
        Require(hasInverse || subtract32 == 0, "it has inverse relocations without an inverse list");
        int lists = PreparedKernelFormat.ListsOffset((int)facts);
        Require(lists + ((long)relocations * sizeof(uint)) <= file.Length, "its facts and relocations end behind the file");

        KernelFacts kernel = ReadFacts(file.Slice(PreparedKernelFormat.HeaderSize, (int)facts));
        PreparedFactsCheck.Check(kernel);
        ElfImage elf = Headers(kernel, PreparedKernelFormat.SegmentOffsets((int)facts, (int)relocations, kernel.Segments.Select(segment => segment.FileSize)), file.Length);

        var entries = new uint[relocations];
        file.Slice(lists, entries.Length * sizeof(uint)).CopyTo(MemoryMarshal.AsBytes(entries.AsSpan()));
        (int first32, int firstInverse) = ((int)(add64 + subtract32), (int)add64);
        var table = new RelocationTable(
            RelocationList.Create(elf, entries, first32, (int)add32, sizeof(uint), "32-bit"),
            RelocationList.Create(elf, entries, firstInverse, (int)subtract32, sizeof(uint), "inverse 32-bit"),
            RelocationList.Create(elf, entries, 0, (int)add64, sizeof(ulong), "64-bit"),
            hasInverse);
        RequireApart(table);
        return new PreparedKernel(buffer, elf, table, kernel);
    }

    // Where two overlap, moving back does not undo moving: one VM's base would be left in the next one's kernel.
    private static void RequireApart(RelocationTable table)
    {
        ReadOnlySpan<uint> words = table.Add64;
        ReadOnlySpan<uint> inverse = table.Subtract32;
        ReadOnlySpan<uint> halves = table.Add32;
        ulong end = 0;
        while (!words.IsEmpty || !inverse.IsEmpty || !halves.IsEmpty)
        {
            ulong word = Head(words), back = Head(inverse), half = Head(halves);
            ulong next = Math.Min(word, Math.Min(back, half));
            Require(next >= end, "two of its relocations change the same bytes");
            end = next + (next == word ? sizeof(ulong) : (ulong)sizeof(uint));
            if (next == word)
            {
                words = words[1..];
            }
            else if (next == back)
            {
                inverse = inverse[1..];
            }
            else
            {
                halves = halves[1..];
            }
        }

        static ulong Head(ReadOnlySpan<uint> list) => list.IsEmpty ? ulong.MaxValue : list[0];
    }

    private static KernelFacts ReadFacts(ReadOnlySpan<byte> json)
    {
        try
        {
            return JsonSerializer.Deserialize(json, KernelFactsJson.Default.KernelFacts) ?? throw PreparedKernelFormat.Fault("it has no facts");
        }
        catch (JsonException error)
        {
            throw PreparedKernelFormat.Fault("its facts are malformed", error);
        }
    }

    private static ElfImage Headers(KernelFacts kernel, ImmutableArray<long> offsets, int length)
    {
        Require(offsets[^1] == length, $"its segments end at {offsets[^1]}, and the file at {length}");
        ImmutableArray<ElfSegment> segments = [.. kernel.Segments.Select((segment, i) => new ElfSegment(
            ElfSegmentType.Load,
            ElfSegmentFlags.None,
            (int)offsets[i],
            new VirtualAddress(unchecked(segment.PhysicalAddress + ElfImage.StartKernelMap)),
            new PhysicalAddress(segment.PhysicalAddress),
            segment.FileSize,
            segment.MemorySize,
            0))];
        var elf = new ElfImage(kernel.Entry, segments, [], length);
        ElfLoadCheck.Check(elf);
        return elf;
    }

    private static void Require(bool holds, string problem)
    {
        if (!holds)
        {
            throw PreparedKernelFormat.Fault(problem);
        }
    }
}

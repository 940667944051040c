using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Kernels;

/// <summary>How a prepared kernel lies in a file, version 1; all numbers are little-endian.</summary>
/// <remarks>
/// <c>[magic, 8 bytes][version u32][flags u32][total length u64][length of the facts u32][64-bit, inverse and 32-bit relocations, 3 × u32]
/// [facts as JSON][zeros to 4][the three lists, u32 each][zeros to a page][segments in the order of the facts, each from a page on]</c>.
/// Where a segment lies follows from the sizes in the facts, so there is no offset that could disagree with them.
/// </remarks>
internal static class PreparedKernelFormat
{
    /// <summary>The size of the header in bytes.</summary>
    internal const int HeaderSize = 40;

    /// <summary>The only version so far.</summary>
    internal const uint Version = 1;

    /// <summary>The flag of a kernel whose relocation table has an inverse list.</summary>
    internal const uint InverseFlag = 1;

    /// <summary>The most bytes of facts: Debian's kernels have about 3 KiB.</summary>
    internal const int MostFacts = 64 << 10;

    private const int PageSize = 4096;

    /// <summary>The first bytes.</summary>
    internal static ReadOnlySpan<byte> Magic => "KMTPREP\0"u8;

    /// <summary>Refuses a length that no prepared kernel has.</summary>
    /// <exception cref="KaslrMtException">KMT2801.</exception>
    internal static void RequireLength(long length)
    {
        if (length is < HeaderSize or > NativeBuffer.MaxLength)
        {
            throw Fault($"it has {length} bytes, expected {HeaderSize} to {NativeBuffer.MaxLength}");
        }
    }

    /// <summary>Where the lists of relocations begin.</summary>
    internal static int ListsOffset(int facts) => (HeaderSize + facts + 3) & ~3;

    /// <summary>Where each segment begins; the last entry is the file's length.</summary>
    /// <param name="facts">The length of the facts in bytes.</param>
    /// <param name="relocations">How many relocations all lists have.</param>
    /// <param name="sizes">The segments' bytes in the file.</param>
    internal static ImmutableArray<long> SegmentOffsets(int facts, int relocations, IEnumerable<int> sizes)
    {
        ImmutableArray<long>.Builder offsets = ImmutableArray.CreateBuilder<long>();
        long end = ListsOffset(facts) + (sizeof(uint) * (long)relocations);
        foreach (int size in sizes)
        {
            long start = (end + PageSize - 1) & ~(PageSize - 1L);
            offsets.Add(start);
            end = start + size;
        }

        offsets.Add(end);
        return offsets.ToImmutable();
    }

    /// <summary>Writes a kernel as linked.</summary>
    internal static void Write(SafeFileHandle file, ElfImage elf, RelocationTable relocations, KernelFacts kernel, ReadOnlySpan<byte> image)
    {
        byte[] facts = JsonSerializer.SerializeToUtf8Bytes(kernel, KernelFactsJson.Default.KernelFacts);
        ImmutableArray<long> offsets = SegmentOffsets(facts.Length, relocations.Count, kernel.Segments.Select(segment => segment.FileSize));
        RequireLength(offsets[^1]);
        if (facts.Length > MostFacts)
        {
            throw Fault($"its facts have {facts.Length} bytes, expected up to {MostFacts}");
        }

        var front = new byte[ListsOffset(facts.Length)];
        Magic.CopyTo(front);
        BinaryPrimitives.WriteUInt32LittleEndian(front.AsSpan(8), Version);
        BinaryPrimitives.WriteUInt32LittleEndian(front.AsSpan(12), relocations.HasInverse ? InverseFlag : 0);
        BinaryPrimitives.WriteInt64LittleEndian(front.AsSpan(16), offsets[^1]);
        BinaryPrimitives.WriteInt32LittleEndian(front.AsSpan(24), facts.Length);
        BinaryPrimitives.WriteInt32LittleEndian(front.AsSpan(28), relocations.Add64.Length);
        BinaryPrimitives.WriteInt32LittleEndian(front.AsSpan(32), relocations.Subtract32.Length);
        BinaryPrimitives.WriteInt32LittleEndian(front.AsSpan(36), relocations.Add32.Length);
        facts.CopyTo(front.AsSpan(HeaderSize));
        RandomAccess.Write(file, front, 0);
        long at = WriteList(file, relocations.Add64, front.Length);
        at = WriteList(file, relocations.Subtract32, at);
        _ = WriteList(file, relocations.Add32, at);
        for (int i = 0; i < elf.Loads.Length; i++)
        {
            RandomAccess.Write(file, image.Slice(elf.Loads[i].FileOffset, elf.Loads[i].FileSize), offsets[i]);
        }
    }

    /// <summary>The error for a prepared kernel that breaks a rule.</summary>
    internal static KaslrMtException Fault(string problem, Exception? inner = null) =>
        new(KernelErrors.Prepared, $"the prepared kernel is not valid: {problem}", "prepare the kernel again", inner);

    private static long WriteList(SafeFileHandle file, ReadOnlySpan<uint> list, long offset)
    {
        RandomAccess.Write(file, MemoryMarshal.AsBytes(list), offset);
        return offset + (sizeof(uint) * (long)list.Length);
    }
}

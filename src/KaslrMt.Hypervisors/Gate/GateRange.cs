using System.Buffers.Binary;

namespace KaslrMt.Hypervisors;

/// <summary>A run of guest memory that the gate goes through before it enters the kernel.</summary>
/// <param name="Address">The first byte.</param>
/// <param name="Length">Bytes, more than 0.</param>
/// <param name="Kind">What the gate does with it.</param>
internal readonly record struct GateRange(ulong Address, ulong Length, GateRangeKind Kind)
{
    /// <summary>The size of an entry in the list, bytes: address and length, 8 each; kind, 4; 4 unused.</summary>
    internal const int Size = 24;

    private const int ListSize = 4096;

    /// <summary>Gets the list as the gate reads it, with its end.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There are more than fit into a page.</exception>
    internal static byte[] ToBytes(IReadOnlyList<GateRange> ranges)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(ranges.Count, (ListSize / Size) - 1);
        var bytes = new byte[(ranges.Count + 1) * Size];
        for (int i = 0; i < ranges.Count; i++)
        {
            Span<byte> entry = bytes.AsSpan(i * Size, Size);
            BinaryPrimitives.WriteUInt64LittleEndian(entry, ranges[i].Address);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], ranges[i].Length);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[16..], (uint)ranges[i].Kind);
        }

        return bytes;
    }
}

/// <summary>What the gate does with a run of memory.</summary>
internal enum GateRangeKind : uint
{
    /// <summary>Nothing: the list ends.</summary>
    End = 0,

    /// <summary>Writes every byte as it is.</summary>
    Rewritten = 1,

    /// <summary>Writes zeros.</summary>
    Cleared = 2,

    /// <summary>Writes one word of each page as it is: enough where nothing is executed before the kernel writes there.</summary>
    Touched = 3,
}

using System.Buffers.Binary;

namespace KaslrMt.Hypervisors;

/// <summary>A run of guest memory that the gate touches before it enters the kernel.</summary>
/// <param name="Address">The first byte.</param>
/// <param name="Length">Bytes, more than 0; of a run to be cleared a multiple of 8.</param>
/// <param name="Cleared">Whether the gate fills it with zeros; else it writes every page's bytes as they are.</param>
internal readonly record struct GateRange(ulong Address, ulong Length, bool Cleared)
{
    /// <summary>The size of an entry in the list, bytes: address and length, 8 each; kind (0 ends the list, 1 touched, 2 cleared), 4; 4 unused.</summary>
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
            BinaryPrimitives.WriteUInt32LittleEndian(entry[16..], ranges[i].Cleared ? 2U : 1U);
        }

        return bytes;
    }
}

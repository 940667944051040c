using KaslrMt.Guests;

namespace KaslrMt.Bench;

/// <summary>The barest read of guests' RAM, by one thread: what every look at all of it costs at least.</summary>
internal static class BareRead
{
    /// <summary>Reads all RAM of a guest through one block.</summary>
    public static void All(IGuestMemory memory, Span<byte> block)
    {
        foreach (PhysicalRange range in memory.Ranges)
        {
            for (ulong offset = 0; offset < range.Length; offset += (ulong)block.Length)
            {
                memory.Read(range.Start + offset, block[..(int)Math.Min((ulong)block.Length, range.Length - offset)]);
            }
        }
    }
}

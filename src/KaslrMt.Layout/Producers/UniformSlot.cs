using System.Buffers.Binary;

namespace KaslrMt.Layout;

/// <summary>Turns uniform random bytes into a uniform slot.</summary>
/// <remarks>
/// <c>word % slots</c> favours the low slots wherever slots does not divide 2^64. So the words of the last, incomplete run of slots are
/// rejected and the next word is taken. The remainder, not the upper bits, becomes the slot: two kernels of different sizes, or two
/// VMs with different memory, read the same stream, and their slots then share no more than the remainder modulo a common divisor of their
/// slot counts: nothing where the counts have none, as with 479 and 477.
/// </remarks>
internal static class UniformSlot
{
    /// <summary>The largest word that is accepted: the accepted words, from 0 up, are a whole number of runs.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There are no slots.</exception>
    internal static ulong LargestAccepted(ulong slots)
    {
        ArgumentOutOfRangeException.ThrowIfZero(slots);
        ulong incomplete = ((ulong.MaxValue % slots) + 1) % slots;
        return ulong.MaxValue - incomplete;
    }

    /// <summary>The slot that the first acceptable big-endian 64-bit word of a stream gives.</summary>
    /// <returns>False when no word of the stream is acceptable.</returns>
    internal static bool TryDraw(ReadOnlySpan<byte> stream, ulong slots, out ulong slot)
    {
        ulong largest = LargestAccepted(slots);
        for (; stream.Length >= sizeof(ulong); stream = stream[sizeof(ulong)..])
        {
            ulong word = BinaryPrimitives.ReadUInt64BigEndian(stream);
            if (word <= largest)
            {
                slot = word % slots;
                return true;
            }
        }

        slot = 0;
        return false;
    }
}

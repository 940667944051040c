using System.Buffers.Binary;
using KaslrMt.Kernels;

namespace KaslrMt.Guests;

/// <summary>One message of a guest's log.</summary>
/// <param name="Number">Its sequence number.</param>
/// <param name="Nanoseconds">When, since the guest's start.</param>
/// <param name="Text">Its bytes, which the guest chose.</param>
public readonly record struct LogMessage(ulong Number, ulong Nanoseconds, ReadOnlyMemory<byte> Text);

/// <summary>A guest's kernel log, from its memory: the lock-free ring buffer of 5.10 and later (<c>kernel/printk/printk_ringbuffer.c</c>).</summary>
public static class KernelLog
{
    // A log has 2^17 bytes by default and 2^25 at most (CONFIG_LOG_BUF_SHIFT); a descriptor stands for 32 bytes or more.
    private const int MostSizeBits = 25;
    private const int MostCountBits = 20;
    private const int MostStructure = 1024;
    private const int IdSize = sizeof(ulong);
    private const ulong StateCommitted = 1;
    private const ulong StateFinalized = 2;
    private const int StateShift = 62;

    /// <summary>Reads the messages that are whole, in their order. What is written meanwhile may be missing.</summary>
    /// <exception cref="KaslrMtException">KMT5031 when there is no such buffer; KMT27xx without type information; KMT50xx when the guest goes away.</exception>
    public static IReadOnlyList<LogMessage> Read(GuestKernel kernel)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        if (kernel.Symbol("prb") is not VirtualAddress pointer || !kernel.TryReadWord(pointer, out ulong ring))
        {
            throw Damaged("the kernel has no printk ring buffer");
        }

        StructType type = kernel.Types.RequiredStruct("printk_ringbuffer");
        var bytes = new byte[Checked(type.Size, MostStructure)];
        if (!kernel.TryRead(new VirtualAddress(ring), bytes))
        {
            throw Damaged("the printk ring buffer is not mapped");
        }

        int countBits = Bits(bytes, type.Required("desc_ring.count_bits").Offset, MostCountBits);
        int sizeBits = Bits(bytes, type.Required("text_data_ring.size_bits").Offset, MostSizeBits);
        StructType descriptor = kernel.Types.RequiredStruct("prb_desc");
        StructType info = kernel.Types.RequiredStruct("printk_info");
        return Parse(
            Array(kernel, bytes, type.Required("desc_ring.descs"), Checked(descriptor.Size, MostStructure) << countBits),
            Array(kernel, bytes, type.Required("desc_ring.infos"), Checked(info.Size, MostStructure) << countBits),
            Array(kernel, bytes, type.Required("text_data_ring.data"), 1 << sizeBits),
            new LogShape(
                descriptor.Size, descriptor.Required("state_var").Offset, descriptor.Required("text_blk_lpos.begin").Offset, descriptor.Required("text_blk_lpos.next").Offset,
                info.Size, info.Required("seq").Offset, info.Required("ts_nsec").Offset, info.Required("text_len").Offset));
    }

    /// <summary>Takes the messages out of the buffer's three arrays, whatever they hold.</summary>
    /// <param name="descriptors">The <c>struct prb_desc</c>s.</param>
    /// <param name="infos">The <c>struct printk_info</c>s, as many.</param>
    /// <param name="text">The text ring, a power of two in size.</param>
    /// <param name="shape">Where the members lie.</param>
    internal static IReadOnlyList<LogMessage> Parse(byte[] descriptors, byte[] infos, byte[] text, LogShape shape)
    {
        List<LogMessage> messages = [];
        int count = Math.Min(descriptors.Length / shape.DescriptorSize, infos.Length / shape.InfoSize);
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> descriptor = descriptors.AsSpan(i * shape.DescriptorSize, shape.DescriptorSize);
            ReadOnlySpan<byte> info = infos.AsSpan(i * shape.InfoSize, shape.InfoSize);
            ulong state = Word(descriptor, shape.State) >> StateShift;
            if (state is StateCommitted or StateFinalized
                && TryBlock(Word(descriptor, shape.Begin), Word(descriptor, shape.Next), text.Length, out int start, out int length))
            {
                length = Math.Min(length, BinaryPrimitives.ReadUInt16LittleEndian(info[shape.TextLength..]));
                messages.Add(new LogMessage(Word(info, shape.Number), Word(info, shape.Time), text.AsMemory(start, length)));
            }
        }

        messages.Sort((left, right) => left.Number.CompareTo(right.Number));
        return messages;
    }

    /// <summary>Where a message's text lies: behind the number that each block begins with; a block that would wrap lies at the ring's start.</summary>
    private static bool TryBlock(ulong begin, ulong next, int size, out int start, out int length)
    {
        ulong ring = (ulong)size;
        start = 0;
        length = 0;

        // Odd positions stand for "no text" (FAILED_LPOS, EMPTY_LINE_LPOS, NO_LPOS).
        if (((begin | next) & 1) != 0 || size < IdSize)
        {
            return false;
        }

        ulong from = begin % ring;
        ulong to = next % ring;
        bool wraps = begin / ring != next / ring;
        if (wraps && to != 0)
        {
            from = 0;
        }
        else if (wraps)
        {
            to = ring;
        }

        if (to < from + IdSize || next - begin > ring)
        {
            return false;
        }

        start = (int)from + IdSize;
        length = (int)(to - from) - IdSize;
        return true;
    }

    private static byte[] Array(GuestKernel kernel, byte[] ring, Field pointer, int size)
    {
        var bytes = new byte[size];
        return kernel.TryRead(new VirtualAddress(Word(ring, pointer.Offset)), bytes) ? bytes : throw Damaged("a part of the printk ring buffer is not mapped");
    }

    private static int Bits(byte[] ring, int offset, int most)
    {
        uint bits = BinaryPrimitives.ReadUInt32LittleEndian(ring.AsSpan(offset));
        return bits <= (uint)most ? (int)bits : throw Damaged($"the printk ring buffer claims 2^{bits} entries, expected at most 2^{most}");
    }

    private static int Checked(int size, int most) =>
        size >= sizeof(ulong) && size <= most ? size : throw Damaged($"a structure of the printk ring buffer has {size} bytes");

    private static ulong Word(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[offset..]);

    private static KaslrMtException Damaged(string problem) =>
        new(GuestErrors.AuditLog, $"the guest's log cannot be read: {problem}", "the kernel is older than 5.10, damaged or hostile");
}

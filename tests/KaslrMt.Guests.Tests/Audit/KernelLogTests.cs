using System.Buffers.Binary;
using System.Text;

namespace KaslrMt.Guests.Tests.Audit;

/// <summary>The log's ring buffer is read as the kernel writes it, and whatever else it holds, in bounds.</summary>
public sealed class KernelLogTests
{
    private const int TextSize = 256;
    private const int Count = 8;
    private const ulong Finalized = 2UL << 62;
    private static readonly LogShape Shape = new(24, 0, 8, 16, 88, 0, 8, 16);

    private readonly byte[] _descriptors = new byte[Count * 24];
    private readonly byte[] _infos = new byte[Count * 88];
    private readonly byte[] _text = new byte[TextSize];

    [Fact]
    public void Messages_come_in_their_order_with_number_time_and_text()
    {
        Add(0, 7, 2_500_000_000, begin: 64, next: 88, "second");
        Add(3, 6, 1_000_000_000, begin: 0, next: 24, "the first one");
        IReadOnlyList<LogMessage> messages = KernelLog.Parse(_descriptors, _infos, _text, Shape);
        Assert.Equal([(6UL, 1_000_000_000UL, "the first one"), (7UL, 2_500_000_000UL, "second")], messages.Select(message => (message.Number, message.Nanoseconds, Text(message))));
    }

    [Fact]
    public void A_block_that_would_wrap_lies_at_the_ring_s_start_and_one_that_ends_with_it_does_not()
    {
        Add(0, 1, 0, begin: TextSize - 16, next: TextSize + 24, "at the start", at: 0);
        Add(1, 2, 0, begin: TextSize - 48, next: TextSize, "up to the end", at: TextSize - 48);
        Assert.Equal(["at the start", "up to the end"], KernelLog.Parse(_descriptors, _infos, _text, Shape).Select(Text));
    }

    [Theory]
    [InlineData(0UL)] // reserved: being written
    [InlineData(3UL << 62)] // reusable: what is left of an old one
    public void What_is_not_whole_is_left_out(ulong state)
    {
        Add(0, 1, 0, begin: 0, next: 24, "text", state: state);
        Assert.Empty(KernelLog.Parse(_descriptors, _infos, _text, Shape));
    }

    [Fact]
    public void A_text_longer_than_its_block_ends_with_the_block()
    {
        Add(0, 1, 0, begin: 0, next: 16, "12345678abcdefgh");
        Assert.Equal("12345678", Text(Assert.Single(KernelLog.Parse(_descriptors, _infos, _text, Shape))));
    }

    [Fact]
    public void Whatever_the_buffer_holds_every_text_lies_in_it()
    {
        Random random = new(4);
        for (int i = 0; i < 2000; i++)
        {
            random.NextBytes(_descriptors);
            random.NextBytes(_infos);
            for (int slot = 0; slot < Count; slot++)
            {
                Span<byte> descriptor = _descriptors.AsSpan(slot * 24, 24);
                BinaryPrimitives.WriteUInt64LittleEndian(descriptor, Finalized);
                BinaryPrimitives.WriteUInt64LittleEndian(descriptor[8..], Near(random));
                BinaryPrimitives.WriteUInt64LittleEndian(descriptor[16..], Near(random));
            }

            IReadOnlyList<LogMessage> messages = KernelLog.Parse(_descriptors, _infos, _text, Shape);
            Assert.InRange(messages.Count, 0, Count);
            Assert.All(messages, message => Assert.InRange(message.Text.Length, 0, TextSize - 8));
        }

        Assert.Empty(KernelLog.Parse(_descriptors, _infos, new byte[4], Shape));
        Assert.Empty(KernelLog.Parse(new byte[23], _infos, _text, Shape));
    }

    // Positions as they are, at the ends of the ring and of numbers, and odd ones.
    private static ulong Near(Random random) => random.Next(4) switch
    {
        0 => (ulong)random.Next(3 * TextSize),
        1 => (ulong)(8 * random.Next(3 * TextSize / 8)),
        2 => ulong.MaxValue - (ulong)random.Next(2 * TextSize),
        _ => (ulong)random.NextInt64(),
    };

    private static string Text(LogMessage message) => Encoding.ASCII.GetString(message.Text.Span);

    private void Add(int slot, ulong number, ulong time, ulong begin, ulong next, string text, int? at = null, ulong state = Finalized)
    {
        Span<byte> descriptor = _descriptors.AsSpan(slot * 24, 24);
        BinaryPrimitives.WriteUInt64LittleEndian(descriptor, state | (uint)slot);
        BinaryPrimitives.WriteUInt64LittleEndian(descriptor[8..], begin);
        BinaryPrimitives.WriteUInt64LittleEndian(descriptor[16..], next);
        Span<byte> info = _infos.AsSpan(slot * 88, 88);
        BinaryPrimitives.WriteUInt64LittleEndian(info, number);
        BinaryPrimitives.WriteUInt64LittleEndian(info[8..], time);
        BinaryPrimitives.WriteUInt16LittleEndian(info[16..], (ushort)text.Length);
        Encoding.ASCII.GetBytes(text).CopyTo(_text.AsSpan((at ?? (int)begin) + 8));
    }
}

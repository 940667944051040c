using System.Buffers.Binary;
using FsCheck;
using FsCheck.Fluent;

namespace KaslrMt.Layout.Tests;

public class UniformSlotTests
{
    [Fact]
    public void Accepted_words_are_a_whole_number_of_runs_and_as_many_as_there_are()
    {
        Prop.ForAll(Slots(), slots =>
        {
            UInt128 accepted = (UInt128)UniformSlot.LargestAccepted(slots) + 1;
            return accepted % slots == 0 && (UInt128.One << 64) - accepted < slots;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(2000));
    }

    [Fact]
    public void Words_of_the_incomplete_run_are_rejected_and_the_next_word_is_taken()
    {
        Prop.ForAll(Slots(), slots =>
        {
            ulong largest = UniformSlot.LargestAccepted(slots);
            if (largest == ulong.MaxValue)
            {
                return UniformSlot.TryDraw(Words(ulong.MaxValue), slots, out ulong last) && last == slots - 1;
            }

            return UniformSlot.TryDraw(Words(largest + 1, ulong.MaxValue, largest, 0), slots, out ulong slot) && slot == slots - 1;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(2000));
    }

    [Fact]
    public void A_stream_of_rejected_words_gives_no_slot()
    {
        Assert.False(UniformSlot.TryDraw(Words(ulong.MaxValue, ulong.MaxValue), 479, out _));
        Assert.False(UniformSlot.TryDraw(new byte[7], 479, out _));
        Assert.False(UniformSlot.TryDraw([], 1, out _));
    }

    [Fact]
    public void One_slot_needs_no_luck_and_none_is_refused()
    {
        Assert.True(UniformSlot.TryDraw(Words(ulong.MaxValue), 1, out ulong slot));
        Assert.Equal(0UL, slot);
        Assert.Throws<ArgumentOutOfRangeException>(() => UniformSlot.TryDraw(Words(0), 0, out _));
    }

    private static byte[] Words(params ulong[] words)
    {
        byte[] bytes = new byte[words.Length * sizeof(ulong)];
        for (int i = 0; i < words.Length; i++)
        {
            BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(i * sizeof(ulong)), words[i]);
        }

        return bytes;
    }

    private static Arbitrary<ulong> Slots()
    {
        Gen<ulong> any = from shift in Gen.Choose(0, 63)
                         from high in Gen.Choose(1, int.MaxValue)
                         from low in Gen.Choose(0, int.MaxValue)
                         select Math.Max(1, (((ulong)high << 33) | ((ulong)low << 2) | 1) >> shift);
        return Gen.OneOf(any, Gen.Elements<ulong>(1UL, 2, 479, 477, 1024, 32768, 1UL << 63, (1UL << 63) + 1, ulong.MaxValue)).ToArbitrary();
    }
}

using System.Runtime.CompilerServices;

namespace KaslrMt.Core.Tests.Memory;

public sealed class NativeBufferTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(4096)]
    [InlineData(4097)]
    [InlineData((8 << 20) + 1)]
    public unsafe void A_buffer_is_page_aligned_zero_and_writable_to_its_last_byte(int length)
    {
        using NativeBuffer buffer = new(length);

        Assert.Equal(length, buffer.Length);
        Assert.Equal(length, buffer.Span.Length);
        Assert.Equal(0u, (nuint)Unsafe.AsPointer(ref buffer.Span[0]) % 4096);
        Assert.Equal(-1, buffer.Span.IndexOfAnyExcept((byte)0));
        buffer.Span.Fill(0xff);
        Assert.Equal(0xff, buffer.Span[^1]);
    }

    [Fact]
    public void The_largest_buffer_costs_nothing_until_it_is_written()
    {
        using NativeBuffer buffer = new(NativeBuffer.MaxLength);

        buffer.Span[^1] = 1;
        Assert.Equal(1, buffer.Span[NativeBuffer.MaxLength - 1]);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(long.MinValue)]
    [InlineData(NativeBuffer.MaxLength + 1L)]
    [InlineData(100_000_000_000)]
    public void A_length_outside_the_bounds_is_a_numbered_error(long length)
    {
        KaslrMtException error = Assert.Throws<KaslrMtException>(() => new NativeBuffer(length));
        Assert.Equal(CoreErrors.BufferLength, error.Code);
    }

    [Fact]
    public void A_disposed_buffer_gives_no_span_and_may_be_disposed_again()
    {
        NativeBuffer buffer = new(4096);
        buffer.Dispose();
        buffer.Dispose();

        Assert.Throws<ObjectDisposedException>(() => buffer.Span.Length);
    }

    [Fact]
    public void Disposing_gives_the_memory_back()
    {
        static long AddressSpace() => long.Parse(
            File.ReadAllText("/proc/self/statm").Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture);
        long before = AddressSpace();
        for (int i = 0; i < 1000; i++)
        {
            using NativeBuffer buffer = new(NativeBuffer.MaxLength);
            buffer.Span[0] = 1;
        }

        // 1000 GiB leaked would be 262 million pages; other tests of this process take a few GiB meanwhile.
        Assert.InRange(AddressSpace() - before, long.MinValue, 32 << 20);
    }
}

namespace KaslrMt.Kernels.Tests.Payloads;

public sealed class RepackedPayloadTests(SmallPayloads small) : IClassFixture<SmallPayloads>
{
    public static TheoryData<PayloadFormat> Formats => new(Enum.GetValues<PayloadFormat>());

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_whole_kernel_survives_every_format(PayloadFormat format)
    {
        using NativeBuffer kernel = Payload.Decompress(RealKernel.ReadPayload("6.1-cloud"));
        byte[] payload = ReferenceTool.PackFast(format, kernel.Span.ToArray());

        Assert.Equal(format, Payload.Identify(payload));
        using NativeBuffer unpacked = Payload.Decompress(payload);

        Assert.Equal(kernel.Length, unpacked.Length);
        Assert.True(unpacked.Span.SequenceEqual(kernel.Span));
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void The_options_of_the_kernel_build_are_understood(PayloadFormat format)
    {
        byte[] payload = small[format];

        Assert.Equal(format, Payload.Identify(payload));
        using NativeBuffer unpacked = Payload.Decompress(payload);

        Assert.True(unpacked.Span.SequenceEqual(small.Slice));
    }

    [Theory]
    [InlineData(PayloadFormat.Lzo, "lzop -9 --crc32")]
    [InlineData(PayloadFormat.Lzo, "lzop -1 --no-checksum")]
    [InlineData(PayloadFormat.Lzo, "lzop -3 --checksum")]
    [InlineData(PayloadFormat.Xz, "xz --check=sha256 -1")]
    [InlineData(PayloadFormat.Xz, "xz --check=none -1")]
    [InlineData(PayloadFormat.Xz, "xz --check=crc32 --block-size=10KiB -1")]
    [InlineData(PayloadFormat.Zstd, "zstd -1 --no-check")]
    [InlineData(PayloadFormat.Zstd, "zstd --ultra -20 --long=31")]
    [InlineData(PayloadFormat.Zstd, "zstd -1 --stream-size=98304")] // a frame that states its content size
    [InlineData(PayloadFormat.Bzip2, "bzip2 -1")]
    public void Other_options_of_the_same_tools_are_understood(PayloadFormat format, string command)
    {
        byte[] payload = ReferenceTool.Pack(format, small.Slice, command);

        using NativeBuffer unpacked = Payload.Decompress(payload);

        Assert.True(unpacked.Span.SequenceEqual(small.Slice));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4095)]
    [InlineData((256 << 10) - 1)]
    [InlineData(256 << 10)] // lzop's block
    [InlineData((256 << 10) + 1)]
    [InlineData((8 << 20) - 1)]
    [InlineData(8 << 20)] // LZ4's chunk
    [InlineData((8 << 20) + 1)]
    [InlineData((16 << 20) + 3)]
    public void Lengths_around_the_block_sizes_come_out_whole(int length)
    {
        byte[] bytes = new byte[length];
        new Random(length).NextBytes(bytes.AsSpan(0, (length + 1) / 2));
        foreach (PayloadFormat format in new[] { PayloadFormat.Lzo, PayloadFormat.Lz4, PayloadFormat.Zstd })
        {
            using NativeBuffer unpacked = Payload.Decompress(ReferenceTool.PackFast(format, bytes));

            Assert.True(unpacked.Span.SequenceEqual(bytes), $"{format}");
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void Bytes_between_the_stream_and_the_size_word_are_ignored_as_in_the_kernel(PayloadFormat format)
    {
        byte[] payload = small[format];
        ReadOnlySpan<byte> stream = payload.AsSpan(0, payload.Length - (format == PayloadFormat.Gzip ? 0 : 4));
        byte[] padded = ReferenceTool.WithSize([.. stream, 0, 0, 0, 0, 0], (uint)small.Slice.Length);

        using NativeBuffer unpacked = Payload.Decompress(padded);

        Assert.True(unpacked.Span.SequenceEqual(small.Slice));
    }
}

using System.Buffers.Binary;
using System.Diagnostics;

namespace KaslrMt.Kernels.Tests.Payloads;

public sealed class PayloadBombTests(SmallPayloads small) : IClassFixture<SmallPayloads>
{
    private const int ZstdBlock = 128 << 10;

    public static TheoryData<PayloadFormat> Formats => new(Enum.GetValues<PayloadFormat>());

    [Theory]
    [MemberData(nameof(Formats))]
    public void An_impossible_size_is_refused_before_memory_is_taken(PayloadFormat format)
    {
        byte[] payload = small[format];
        foreach (uint claim in new[] { 0u, uint.MaxValue, 1u << 31, (1u << 30) + 1, (uint)payload.Length * (Payload.MaxExpansion + 1) })
        {
            BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(payload.Length - 4), claim);

            KaslrMtException error = Assert.Throws<KaslrMtException>(() => Payload.Decompress(payload));
            Assert.Equal(KernelErrors.PayloadDeclaredSize, error.Code);
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_payload_longer_than_declared_is_refused_and_stays_in_bounds(PayloadFormat format)
    {
        byte[] payload = small[format];
        foreach (int missing in new[] { 1, 2, 100, small.Slice.Length / 2, small.Slice.Length - 1 })
        {
            BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(payload.Length - 4), (uint)(small.Slice.Length - missing));

            // gzip's declared size is part of its own trailer: near the end zlib may see the lie before the surplus.
            ErrorCode? error = GuardedUnpacking.Run(payload, format).Error;
            Assert.True(
                error == KernelErrors.PayloadLongerThanDeclared
                || (format == PayloadFormat.Gzip && missing < 1000 && error == KernelErrors.PayloadCorrupt),
                $"{format}, {missing} bytes short: {error}");
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_payload_shorter_than_declared_is_refused(PayloadFormat format)
    {
        byte[] payload = small[format];
        foreach (int extra in new[] { 1, 2, 100, small.Slice.Length })
        {
            BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(payload.Length - 4), (uint)(small.Slice.Length + extra));

            // gzip's declared size is part of its own trailer, so zlib sees the lie first.
            ErrorCode expected = format == PayloadFormat.Gzip ? KernelErrors.PayloadCorrupt : KernelErrors.PayloadShorterThanDeclared;
            Assert.Equal(expected, GuardedUnpacking.Run(payload, format).Error);
        }
    }

    [Fact]
    public void A_zstd_frame_of_100_GB_stops_at_the_declared_size()
    {
        // Blocks of one repeated byte: 4 bytes unpack to 128 KiB (RFC 8878, section 3.1.1.2).
        const int Blocks = 800_000;
        byte[] stream = new byte[6 + (Blocks * 4)];
        new byte[] { 0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88 }.CopyTo(stream, 0);
        for (int block = 0; block < Blocks; block++)
        {
            uint header = (uint)(ZstdBlock << 3) | (1 << 1) | (block == Blocks - 1 ? 1u : 0);
            BinaryPrimitives.WriteUInt32LittleEndian(stream.AsSpan(6 + (block * 4)), header);
        }

        Assert.True((long)Blocks * ZstdBlock > 100_000_000_000);
        byte[] payload = ReferenceTool.WithSize(stream, 64 << 20);
        Stopwatch time = Stopwatch.StartNew();

        Assert.Equal(KernelErrors.PayloadLongerThanDeclared, GuardedUnpacking.Run(payload, PayloadFormat.Zstd).Error);
        Assert.True(time.Elapsed < TimeSpan.FromSeconds(10), $"took {time.Elapsed}");
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void Zeros_that_unpack_far_beyond_the_declared_size_are_refused(PayloadFormat format)
    {
        byte[] payload = ReferenceTool.PackFast(format, new byte[64 << 20]);
        uint claim = (uint)Math.Min(1 << 20, payload.Length * Payload.MaxExpansion);
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(payload.Length - 4), claim);

        Assert.Equal(KernelErrors.PayloadLongerThanDeclared, GuardedUnpacking.Run(payload, format).Error);
    }

    [Fact]
    public void An_lzma_dictionary_of_4_GB_is_refused()
    {
        byte[] payload = small[PayloadFormat.Lzma];
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(1), 0xffff_fffe);

        Assert.Equal(KernelErrors.PayloadUnsupported, GuardedUnpacking.Run(payload, PayloadFormat.Lzma).Error);
    }
}

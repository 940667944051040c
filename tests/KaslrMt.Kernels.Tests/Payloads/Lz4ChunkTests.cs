using System.Buffers.Binary;

namespace KaslrMt.Kernels.Tests.Payloads;

/// <summary>Payloads of several LZ4 chunks, which several threads unpack.</summary>
public sealed class Lz4ChunkTests
{
    private const int Length = (16 << 20) + 12345;

    private readonly byte[] _payload;
    private readonly int[] _chunks;

    public Lz4ChunkTests()
    {
        using NativeBuffer kernel = Payload.Decompress(RealKernel.ReadPayload("6.1-cloud"));
        _payload = ReferenceTool.PackFast(PayloadFormat.Lz4, kernel.Span[..Length].ToArray());
        List<int> chunks = [];
        for (int offset = 4; offset < _payload.Length - 4; offset += 4 + BinaryPrimitives.ReadInt32LittleEndian(_payload.AsSpan(offset)))
        {
            chunks.Add(offset);
        }

        _chunks = [.. chunks];
        Assert.Equal(3, _chunks.Length);
    }

    [Fact]
    public void Damage_in_any_chunk_never_reaches_beyond_the_destination()
    {
        Random random = new(7);
        int refused = 0;
        for (int mutant = 0; mutant < 60; mutant++)
        {
            byte[] damaged = (byte[])_payload.Clone();
            int start = _chunks[mutant % 3] + 4;
            int end = mutant % 3 == 2 ? damaged.Length - 4 : _chunks[(mutant % 3) + 1];
            random.NextBytes(damaged.AsSpan(random.Next(start, end - 16), 16));
            refused += GuardedUnpacking.Run(damaged, PayloadFormat.Lz4).Error is null ? 0 : 1;
        }

        Assert.True(refused > 10, $"only {refused} mutants were refused");
    }

    [Theory]
    [InlineData(0, -1)]
    [InlineData(0, 1)]
    [InlineData(1, -1)]
    [InlineData(1, 1)]
    [InlineData(2, -1)]
    public void A_wrong_chunk_size_is_refused(int chunk, int change)
    {
        Span<byte> size = _payload.AsSpan(_chunks[chunk], 4);
        BinaryPrimitives.WriteInt32LittleEndian(size, BinaryPrimitives.ReadInt32LittleEndian(size) + change);

        Assert.NotNull(GuardedUnpacking.Run(_payload, PayloadFormat.Lz4).Error);
    }

    [Theory]
    [InlineData(0x7fff_ffffu)]
    [InlineData(0xffff_ffffu)]
    [InlineData(0x8000_0000u)]
    public void A_chunk_size_beyond_the_payload_is_a_truncation(uint size)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(_payload.AsSpan(_chunks[1]), size);

        Assert.Equal(KernelErrors.PayloadTruncated, GuardedUnpacking.Run(_payload, PayloadFormat.Lz4).Error);
    }

    [Fact]
    public void A_chunk_that_is_not_8_MiB_is_refused_unless_it_is_the_last()
    {
        byte[] lastFirst = ReferenceTool.WithSize(
            [.. _payload[..4], .. _payload[_chunks[2]..^4], .. _payload[_chunks[0].._chunks[2]]], Length);

        Assert.Equal(KernelErrors.PayloadShorterThanDeclared, GuardedUnpacking.Run(lastFirst, PayloadFormat.Lz4).Error);
    }

    [Fact]
    public void A_chunk_more_than_declared_is_refused()
    {
        byte[] payload = ReferenceTool.WithSize(_payload.AsSpan(0, _payload.Length - 4), 16 << 20);

        Assert.Equal(KernelErrors.PayloadLongerThanDeclared, GuardedUnpacking.Run(payload, PayloadFormat.Lz4).Error);
    }

    [Fact]
    public void Many_payloads_unpack_at_the_same_time()
    {
        using NativeBuffer expected = Payload.Decompress(_payload);
        byte[] bytes = expected.Span.ToArray();
        Parallel.For(0, 16, _ =>
        {
            using NativeBuffer unpacked = Payload.Decompress(_payload);
            Assert.True(unpacked.Span.SequenceEqual(bytes));
        });
    }
}

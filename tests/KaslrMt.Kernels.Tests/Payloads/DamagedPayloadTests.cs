namespace KaslrMt.Kernels.Tests.Payloads;

public sealed class DamagedPayloadTests(SmallPayloads small) : IClassFixture<SmallPayloads>
{
    private const int RandomMutants = 400;
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(60);

    public static TheoryData<PayloadFormat> Formats => new(Enum.GetValues<PayloadFormat>());

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_stream_cut_anywhere_is_refused(PayloadFormat format)
    {
        byte[] payload = small[format];
        int streamLength = payload.Length - 4;
        IEnumerable<int> cuts = [.. Enumerable.Range(0, 64), .. Enumerable.Range(1, 64).Select(i => streamLength - i)];
        Random random = new(1);
        cuts = cuts.Concat(Enumerable.Range(0, 100).Select(_ => random.Next(streamLength)));

        foreach (int cut in cuts)
        {
            byte[] damaged = ReferenceTool.WithSize(payload.AsSpan(0, cut), (uint)small.Slice.Length);
            (byte[]? unpacked, ErrorCode? error) = GuardedUnpacking.Run(damaged, format);

            // What follows the last data (end marks, indexes) may be cut without loss where the format or the kernel does without it.
            Assert.True(error is not null || unpacked.AsSpan().SequenceEqual(small.Slice), $"{format} cut at {cut}");
            Assert.True(error is not null || cut > streamLength - 64, $"{format} cut at {cut} gave no error");
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_payload_cut_anywhere_takes_its_size_from_garbage_and_is_refused(PayloadFormat format)
    {
        byte[] payload = small[format];
        for (int cut = 0; cut < payload.Length; cut += 1 + (payload.Length / 97))
        {
            (_, ErrorCode? error) = GuardedUnpacking.Run(payload.AsSpan(0, cut), format);

            Assert.True(error is not null, $"{format} cut at {cut}");
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public async Task A_flipped_bit_gives_an_error_or_never_leaves_the_destination(PayloadFormat format)
    {
        byte[] payload = small[format];
        Random random = new((int)format);

        // Every bit of the header, where the sizes and options are, then bits anywhere.
        IEnumerable<int> bits =
            [.. Enumerable.Range(0, 40 * 8), .. Enumerable.Range(0, RandomMutants).Select(_ => random.Next(payload.Length * 8))];
        Task work = Task.Run(() =>
        {
            int refused = 0;
            foreach (int bit in bits)
            {
                byte[] damaged = (byte[])payload.Clone();
                damaged[bit / 8] ^= (byte)(1 << (bit % 8));
                (byte[]? unpacked, ErrorCode? error) = GuardedUnpacking.Run(damaged, format);
                refused += error is null ? 0 : 1;
                Assert.True(
                    error is not null || !HasChecksum(format) || unpacked.AsSpan().SequenceEqual(small.Slice),
                    $"{format}, bit {bit} flipped: wrong bytes and no error");
            }

            Assert.True(refused > 10, $"{format}: only {refused} mutants were refused");
        });

        await work.WaitAsync(Bound);
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public async Task Overwritten_stretches_never_leave_the_destination(PayloadFormat format)
    {
        byte[] payload = small[format];
        Random random = new(100 + (int)format);
        Task work = Task.Run(() =>
        {
            for (int mutant = 0; mutant < RandomMutants; mutant++)
            {
                byte[] damaged = (byte[])payload.Clone();
                int offset = random.Next(2, damaged.Length);
                Span<byte> stretch = damaged.AsSpan(offset, Math.Min(random.Next(1, 64), damaged.Length - offset));
                if (mutant % 3 == 0)
                {
                    stretch.Fill((byte)(mutant % 2 == 0 ? 0xff : 0x00));
                }
                else
                {
                    random.NextBytes(stretch);
                }

                (byte[]? unpacked, ErrorCode? error) = GuardedUnpacking.Run(damaged, format);
                Assert.True(
                    error is not null || !HasChecksum(format) || unpacked.AsSpan().SequenceEqual(small.Slice),
                    $"{format}, mutant {mutant} at {offset}: wrong bytes and no error");
            }
        });

        await work.WaitAsync(Bound);
    }

    [Theory]
    [InlineData(PayloadFormat.Gzip, 2103)]
    [InlineData(PayloadFormat.Bzip2, 2103)]
    [InlineData(PayloadFormat.Xz, 2103)]
    [InlineData(PayloadFormat.Lzo, 2104)]
    [InlineData(PayloadFormat.Zstd, 2104)]
    public void A_wrong_checksum_is_seen(PayloadFormat format, int code)
    {
        byte[] payload = small[format];
        int checksum = format switch
        {
            PayloadFormat.Gzip => payload.Length - 8,
            PayloadFormat.Bzip2 => 10, // the CRC of the first block, behind BZh9 and the block's magic
            PayloadFormat.Xz => 8, // the CRC32 of the stream's flags
            PayloadFormat.Lzo => 34, // the checksum of the header without a name, as lzop writes it in a pipe
            _ => payload.Length - 8,
        };
        payload[checksum] ^= 1;

        Assert.Equal(code, GuardedUnpacking.Run(payload, format).Error?.Number);
    }

    // LZMA alone and LZ4's legacy frame carry no checksum: what decodes to the declared size cannot be told from the original.
    private static bool HasChecksum(PayloadFormat format) => format is not (PayloadFormat.Lzma or PayloadFormat.Lz4);
}

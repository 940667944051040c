namespace KaslrMt.Kernels.Tests.Payloads;

public sealed class PayloadIdentificationTests
{
    [Theory]
    [InlineData("1f8b08", PayloadFormat.Gzip)]
    [InlineData("1f9e", PayloadFormat.Gzip)]
    [InlineData("425a68", PayloadFormat.Bzip2)]
    [InlineData("5d0000", PayloadFormat.Lzma)]
    [InlineData("fd377a", PayloadFormat.Xz)]
    [InlineData("894c5a", PayloadFormat.Lzo)]
    [InlineData("02214c18", PayloadFormat.Lz4)]
    [InlineData("28b52ffd", PayloadFormat.Zstd)]
    public void Every_magic_of_the_kernel_is_known(string magic, PayloadFormat format) =>
        Assert.Equal(format, Payload.Identify(Convert.FromHexString(magic)));

    [Theory]
    [InlineData("")]
    [InlineData("1f")]
    [InlineData("0000")]
    [InlineData("7f454c46")]
    [InlineData("04224d18")] // the modern LZ4 frame, which the kernel cannot unpack
    public void Anything_else_is_no_payload(string magic)
    {
        byte[] payload = Convert.FromHexString(magic);

        Assert.Null(Payload.Identify(payload));
        KaslrMtException error = Assert.Throws<KaslrMtException>(() => Payload.Decompress(payload));
        Assert.Equal(KernelErrors.PayloadUnknownFormat, error.Code);
    }

    [Fact]
    public void Of_all_first_two_bytes_only_the_eight_of_the_kernel_are_known()
    {
        int known = 0;
        for (int pair = 0; pair <= ushort.MaxValue; pair++)
        {
            known += Payload.Identify([(byte)pair, (byte)(pair >> 8)]) is null ? 0 : 1;
        }

        Assert.Equal(8, known);
    }
}

namespace KaslrMt.Kernels;

/// <summary>Makes the errors that all codecs share, so that the same fault reads the same in every format.</summary>
internal static class CodecFault
{
    private const string GetAgain = "the image is damaged or hostile; get it again from its source";

    /// <summary>The format's name as users write it.</summary>
    internal static string Name(PayloadFormat format) => format switch
    {
        PayloadFormat.Gzip => "gzip",
        PayloadFormat.Bzip2 => "bzip2",
        PayloadFormat.Lzma => "LZMA",
        PayloadFormat.Xz => "XZ",
        PayloadFormat.Lzo => "LZO",
        PayloadFormat.Lz4 => "LZ4",
        _ => "zstd",
    };

    internal static KaslrMtException UnknownFormat(ReadOnlySpan<byte> payload) => new(
        KernelErrors.PayloadUnknownFormat,
        $"the payload begins with {Convert.ToHexStringLower(payload[..Math.Min(payload.Length, 4)])}, which is no compression Linux knows",
        "supported are gzip, bzip2, LZMA, XZ, LZO, LZ4 (legacy frame) and zstd");

    internal static KaslrMtException Truncated(PayloadFormat format, long offset, string expected) => new(
        KernelErrors.PayloadTruncated, $"the {Name(format)} payload ends at offset {offset}, expected there: {expected}", GetAgain);

    internal static KaslrMtException Corrupt(PayloadFormat format, string what, Exception? inner = null) => new(
        KernelErrors.PayloadCorrupt, $"the {Name(format)} payload is corrupt: {what}", GetAgain, inner);

    internal static KaslrMtException Checksum(PayloadFormat format, string what) => new(
        KernelErrors.PayloadChecksum, $"the {Name(format)} payload fails its own checksum: {what}", GetAgain);

    internal static KaslrMtException LongerThanDeclared(PayloadFormat format, long declared) => new(
        KernelErrors.PayloadLongerThanDeclared,
        $"the {Name(format)} payload unpacks to more than the {declared} bytes it declares",
        GetAgain);

    internal static KaslrMtException ShorterThanDeclared(PayloadFormat format, long declared, long unpacked) => new(
        KernelErrors.PayloadShorterThanDeclared,
        $"the {Name(format)} payload unpacks to {unpacked} bytes, it declares {declared}",
        GetAgain);

    internal static KaslrMtException Unsupported(PayloadFormat format, string what) => new(
        KernelErrors.PayloadUnsupported,
        $"the {Name(format)} payload cannot be unpacked: {what}",
        "pack the kernel as its own Makefile does");

    internal static KaslrMtException OutOfMemory(PayloadFormat format) => new(
        KernelErrors.CodecOutOfMemory,
        $"the {Name(format)} codec could not get the memory it needs",
        "free memory, or raise the memory limit (ulimit -v, cgroup)");

    internal static KaslrMtException LibraryMissing(PayloadFormat format, Exception inner)
    {
        (string library, string package) = format switch
        {
            PayloadFormat.Bzip2 => (Bzip2Codec.Library, "libbz2-1.0"),
            PayloadFormat.Lzma or PayloadFormat.Xz => (LzmaStatus.Library, "liblzma5"),
            PayloadFormat.Lzo => (LzopCodec.Library, "liblzo2-2"),
            PayloadFormat.Lz4 => (Lz4Codec.Library, "liblz4-1"),
            PayloadFormat.Zstd => (ZstdCodec.Library, "libzstd1"),
            _ => ("System.IO.Compression.Native", "aspnetcore-runtime-10.0 or dotnet-runtime-10.0"),
        };
        string what = inner is DllNotFoundException ? "cannot be loaded" : "lacks a function it must have";
        return new(
            KernelErrors.CodecLibraryMissing,
            $"unpacking a {Name(format)} payload needs the shared library {library}, which {what}",
            $"install Debian's package {package}",
            inner);
    }
}

namespace KaslrMt.Kernels;

/// <summary>What liblzma's functions return (<c>lzma_ret</c> in <c>lzma/base.h</c>), and how much memory its decoders may take.</summary>
internal static class LzmaStatus
{
    internal const string Library = "liblzma.so.5";

    internal const int Ok = 0;
    internal const int StreamEnd = 1;

    private const int MemoryError = 5;
    private const int MemoryLimit = 6;
    private const int FormatError = 7;
    private const int OptionsError = 8;
    private const int DataError = 9;
    private const int BufferError = 10;

    // A dictionary larger than the output limit serves nobody; the rest is for the decoder's own tables.
    internal const ulong MemoryLimitBytes = (ulong)Payload.MaxUnpackedLength + (16 << 20);

    /// <summary>The error for a result that is neither success nor a full output buffer.</summary>
    internal static KaslrMtException Fault(PayloadFormat format, int result, long offset) => result switch
    {
        MemoryError => CodecFault.OutOfMemory(format),
        MemoryLimit => CodecFault.Unsupported(format, $"its dictionary needs more than {MemoryLimitBytes} bytes"),
        OptionsError => CodecFault.Unsupported(format, "it uses filters or options that liblzma does not have"),
        FormatError => CodecFault.Corrupt(format, "its header is not one of this format"),
        BufferError => CodecFault.Truncated(format, offset, "more of the stream"),
        DataError => CodecFault.Corrupt(format, $"its data or a checksum is damaged, at or before offset {offset}"),
        _ => CodecFault.Corrupt(format, $"liblzma error {result} at offset {offset}"),
    };

    /// <summary>Whether a one-shot decoder stopped because its output was full (<c>LZMA_BUF_ERROR</c>).</summary>
    internal static bool IsOutputFull(int result) => result == BufferError;
}

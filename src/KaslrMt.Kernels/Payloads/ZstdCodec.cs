using System.Runtime.InteropServices;

namespace KaslrMt.Kernels;

/// <summary>
/// One zstd frame through libzstd (<c>zstd.h</c>), in one call: the output is its own window, so the 128 MiB window of
/// <c>zstd -22 --ultra</c> costs nothing and needs no <c>windowLogMax</c>. The frame's XXH64, which zstd writes by default, is verified.
/// </summary>
internal static partial class ZstdCodec
{
    internal const string Library = "libzstd.so.1";

    // ZSTD_ErrorCode of zstd_errors.h; these numbers are stable since 1.3.1.
    private const int VersionOrFrameParameter = 14;
    private const int WindowTooLarge = 16;
    private const int ChecksumWrong = 22;
    private const int DictionaryWrong = 32;
    private const int OutOfMemory = 64;
    private const int DestinationTooSmall = 70;
    private const int SourceSizeWrong = 72;

    internal static unsafe void Decompress(ReadOnlySpan<byte> stream, Span<byte> destination)
    {
        fixed (byte* source = stream)
        fixed (byte* target = destination)
        {
            // What follows the frame would be taken for a second frame: the kernel's decompress_single cuts it off in the same way.
            nuint frame = FindFrameCompressedSize(source, (nuint)stream.Length);
            ThrowIfError(frame, stream.Length, destination.Length);
            nuint unpacked = DecompressFrame(target, (nuint)destination.Length, source, frame);
            ThrowIfError(unpacked, stream.Length, destination.Length);
            if (unpacked != (nuint)destination.Length)
            {
                throw CodecFault.ShorterThanDeclared(PayloadFormat.Zstd, destination.Length, (long)unpacked);
            }
        }
    }

    private static void ThrowIfError(nuint result, int streamLength, int declared)
    {
        if (IsError(result) == 0)
        {
            return;
        }

        int code = GetErrorCode(result);
        throw code switch
        {
            ChecksumWrong => CodecFault.Checksum(PayloadFormat.Zstd, "the XXH64 of its frame"),
            VersionOrFrameParameter or WindowTooLarge =>
                CodecFault.Unsupported(PayloadFormat.Zstd, $"it uses an unknown frame parameter (zstd error {code})"),
            DictionaryWrong => CodecFault.Unsupported(PayloadFormat.Zstd, "it needs a dictionary"),
            OutOfMemory => CodecFault.OutOfMemory(PayloadFormat.Zstd),
            DestinationTooSmall => CodecFault.LongerThanDeclared(PayloadFormat.Zstd, declared),
            SourceSizeWrong => CodecFault.Truncated(PayloadFormat.Zstd, streamLength, "more of the frame"),
            _ => CodecFault.Corrupt(PayloadFormat.Zstd, $"its frame is damaged (zstd error {code})"),
        };
    }

    [LibraryImport(Library, EntryPoint = "ZSTD_findFrameCompressedSize")]
    private static unsafe partial nuint FindFrameCompressedSize(byte* source, nuint sourceLength);

    [LibraryImport(Library, EntryPoint = "ZSTD_decompress")]
    private static unsafe partial nuint DecompressFrame(byte* destination, nuint capacity, byte* source, nuint sourceLength);

    [LibraryImport(Library, EntryPoint = "ZSTD_isError")]
    private static partial uint IsError(nuint result);

    [LibraryImport(Library, EntryPoint = "ZSTD_getErrorCode")]
    private static partial int GetErrorCode(nuint result);
}

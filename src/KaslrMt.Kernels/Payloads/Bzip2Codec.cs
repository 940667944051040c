using System.Runtime.InteropServices;

namespace KaslrMt.Kernels;

/// <summary>bzip2, one stream, through libbz2 (<c>bzlib.h</c>), which verifies the CRC of every block.</summary>
internal static partial class Bzip2Codec
{
    internal const string Library = "libbz2.so.1.0";

    private const int Ok = 0;
    private const int MemoryError = -3;
    private const int MagicError = -5;
    private const int UnexpectedEnd = -7;
    private const int OutputFull = -8;

    internal static unsafe void Decompress(ReadOnlySpan<byte> stream, Span<byte> destination)
    {
        uint unpacked = (uint)destination.Length;
        int result;
        fixed (byte* source = stream)
        fixed (byte* target = destination)
        {
            result = BufferDecompress(target, &unpacked, source, (uint)stream.Length, small: 0, verbosity: 0);
        }

        switch (result)
        {
            case Ok when unpacked == destination.Length:
                return;
            case Ok:
                throw CodecFault.ShorterThanDeclared(PayloadFormat.Bzip2, destination.Length, unpacked);
            case OutputFull:
                throw CodecFault.LongerThanDeclared(PayloadFormat.Bzip2, destination.Length);
            case UnexpectedEnd:
                throw CodecFault.Truncated(PayloadFormat.Bzip2, stream.Length, "more of the stream");
            case MemoryError:
                throw CodecFault.OutOfMemory(PayloadFormat.Bzip2);
            case MagicError:
                throw CodecFault.Corrupt(PayloadFormat.Bzip2, "it does not begin with BZh1 to BZh9");
            default:
                throw CodecFault.Corrupt(PayloadFormat.Bzip2, $"a block or its CRC is damaged (bzlib error {result})");
        }
    }

    [LibraryImport(Library, EntryPoint = "BZ2_bzBuffToBuffDecompress")]
    private static unsafe partial int BufferDecompress(
        byte* destination, uint* destinationLength, byte* source, uint sourceLength, int small, int verbosity);
}

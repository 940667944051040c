using System.Runtime.InteropServices;

namespace KaslrMt.Kernels;

/// <summary>
/// The old <c>.lzma</c> format through liblzma. It has no checksum: damage that still decodes to the declared size is not seen.
/// </summary>
internal static partial class LzmaAloneCodec
{
    private const int Finish = 3;

    internal static unsafe void Decompress(ReadOnlySpan<byte> stream, Span<byte> destination)
    {
        byte beyond;
        fixed (byte* source = stream)
        fixed (byte* target = destination)
        {
            LzmaStream decoder = new()
            {
                NextIn = source,
                AvailableIn = (nuint)stream.Length,
                NextOut = target,
                AvailableOut = (nuint)destination.Length,
            };
            int result = AloneDecoder(&decoder, LzmaStatus.MemoryLimitBytes);
            try
            {
                if (result == LzmaStatus.Ok)
                {
                    result = Decode(&decoder);
                }

                if (result == LzmaStatus.Ok && decoder.AvailableOut == 0)
                {
                    // A stream of unknown size (as lzma writes from a pipe) ends with a marker, which is only read when there is room left.
                    decoder.NextOut = &beyond;
                    decoder.AvailableOut = 1;
                    result = Decode(&decoder);
                }
            }
            finally
            {
                End(&decoder);
            }

            long unpacked = (long)decoder.TotalOut;
            if (unpacked > destination.Length)
            {
                throw CodecFault.LongerThanDeclared(PayloadFormat.Lzma, destination.Length);
            }

            if (result != LzmaStatus.StreamEnd)
            {
                throw LzmaStatus.Fault(PayloadFormat.Lzma, result, (long)decoder.TotalIn);
            }

            if (unpacked < destination.Length)
            {
                throw CodecFault.ShorterThanDeclared(PayloadFormat.Lzma, destination.Length, unpacked);
            }
        }
    }

    // Every call either moves a position or ends: liblzma answers LZMA_BUF_ERROR when a second call in a row moves nothing.
    private static unsafe int Decode(LzmaStream* decoder)
    {
        int result;
        do
        {
            result = Code(decoder, Finish);
        }
        while (result == LzmaStatus.Ok && decoder->AvailableOut > 0);

        return result;
    }

    [LibraryImport(LzmaStatus.Library, EntryPoint = "lzma_alone_decoder")]
    private static unsafe partial int AloneDecoder(LzmaStream* stream, ulong memoryLimit);

    [LibraryImport(LzmaStatus.Library, EntryPoint = "lzma_code")]
    private static unsafe partial int Code(LzmaStream* stream, int action);

    [LibraryImport(LzmaStatus.Library, EntryPoint = "lzma_end")]
    private static unsafe partial void End(LzmaStream* stream);
}

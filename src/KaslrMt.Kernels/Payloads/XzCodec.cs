using System.Runtime.InteropServices;

namespace KaslrMt.Kernels;

/// <summary>One XZ stream through liblzma (<c>lzma/container.h</c>), which knows the x86 BCJ filter and verifies the checks.</summary>
internal static partial class XzCodec
{
    internal static unsafe void Decompress(ReadOnlySpan<byte> stream, Span<byte> destination)
    {
        ulong memoryLimit = LzmaStatus.MemoryLimitBytes;
        nuint consumed = 0;
        nuint unpacked = 0;
        int result;
        fixed (byte* source = stream)
        fixed (byte* target = destination)
        {
            result = StreamBufferDecode(
                &memoryLimit,
                flags: 0,
                allocator: 0,
                source,
                &consumed,
                (nuint)stream.Length,
                target,
                &unpacked,
                (nuint)destination.Length);
        }

        if (LzmaStatus.IsOutputFull(result))
        {
            throw CodecFault.LongerThanDeclared(PayloadFormat.Xz, destination.Length);
        }

        if (result != LzmaStatus.Ok)
        {
            // On failure liblzma puts the positions back, so the place of the damage is not known.
            throw LzmaStatus.Fault(PayloadFormat.Xz, result, stream.Length);
        }

        if (unpacked != (nuint)destination.Length)
        {
            throw CodecFault.ShorterThanDeclared(PayloadFormat.Xz, destination.Length, (long)unpacked);
        }
    }

    [LibraryImport(LzmaStatus.Library, EntryPoint = "lzma_stream_buffer_decode")]
    private static unsafe partial int StreamBufferDecode(
        ulong* memoryLimit,
        uint flags,
        nint allocator,
        byte* source,
        nuint* sourcePosition,
        nuint sourceLength,
        byte* destination,
        nuint* destinationPosition,
        nuint destinationLength);
}

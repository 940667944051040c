using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace KaslrMt.Kernels;

/// <summary>
/// lzop's format: a header, then blocks of unpacked length, packed length, checksums and LZO1X data (or the plain bytes, where packing did
/// not help), up to a block of length 0 (<c>lib/decompress_unlzo.c</c>). Unlike the kernel, this verifies every checksum that is there.
/// </summary>
internal static partial class LzopCodec
{
    internal const string Library = "liblzo2.so.2";

    // The kernel refuses larger blocks; lzop writes no larger ones.
    private const int MaxBlockLength = 256 << 10;

    internal static void Decompress(ReadOnlySpan<byte> stream, Span<byte> destination)
    {
        LzopHeader header = LzopHeader.Read(stream);
        int offset = header.Length;
        int unpacked = 0;
        while (true)
        {
            uint length = ReadWord(stream, ref offset);
            if (length == 0)
            {
                break;
            }

            if (length > MaxBlockLength)
            {
                throw CodecFault.Corrupt(
                    PayloadFormat.Lzo, $"the block at offset {offset - sizeof(uint)} has {length} bytes, allowed are {MaxBlockLength}");
            }

            if (length > (uint)(destination.Length - unpacked))
            {
                throw CodecFault.LongerThanDeclared(PayloadFormat.Lzo, destination.Length);
            }

            ReadBlock(stream, ref offset, header.Flags, destination.Slice(unpacked, (int)length));
            unpacked += (int)length;
        }

        if (unpacked != destination.Length)
        {
            throw CodecFault.ShorterThanDeclared(PayloadFormat.Lzo, destination.Length, unpacked);
        }
    }

    private static void ReadBlock(ReadOnlySpan<byte> stream, ref int offset, LzopFlags flags, Span<byte> block)
    {
        int start = offset - sizeof(uint);
        uint length = ReadWord(stream, ref offset);
        if (length == 0 || length > (uint)block.Length)
        {
            throw CodecFault.Corrupt(
                PayloadFormat.Lzo, $"the block at offset {start} has {length} packed bytes, allowed are 1 to {block.Length}");
        }

        bool stored = length == (uint)block.Length;
        uint? adler32 = ReadChecksum(stream, ref offset, flags.HasFlag(LzopFlags.Adler32OfUnpacked));
        uint? crc32 = ReadChecksum(stream, ref offset, flags.HasFlag(LzopFlags.Crc32OfUnpacked));
        uint? packedAdler32 = ReadChecksum(stream, ref offset, !stored && flags.HasFlag(LzopFlags.Adler32OfPacked));
        uint? packedCrc32 = ReadChecksum(stream, ref offset, !stored && flags.HasFlag(LzopFlags.Crc32OfPacked));
        if (length > (uint)(stream.Length - offset))
        {
            throw CodecFault.Truncated(PayloadFormat.Lzo, stream.Length, $"{length} bytes of the block that begins at offset {start}");
        }

        ReadOnlySpan<byte> packed = stream.Slice(offset, (int)length);
        offset += (int)length;
        Verify(packed, packedAdler32, packedCrc32, start);
        if (stored)
        {
            packed.CopyTo(block);
        }
        else
        {
            Unpack(packed, block, start);
        }

        Verify(block, adler32, crc32, start);
    }

    private static unsafe void Unpack(ReadOnlySpan<byte> packed, Span<byte> block, int start)
    {
        nuint unpacked = (nuint)block.Length;
        int result;
        fixed (byte* source = packed)
        fixed (byte* target = block)
        {
            result = DecompressSafe(source, (nuint)packed.Length, target, &unpacked, workMemory: 0);
        }

        if (result != 0 || unpacked != (nuint)block.Length)
        {
            throw CodecFault.Corrupt(PayloadFormat.Lzo, $"the block at offset {start} is damaged (LZO error {result})");
        }
    }

    private static void Verify(ReadOnlySpan<byte> bytes, uint? adler32, uint? crc32, int start)
    {
        if ((adler32 is { } adler && LzopChecksum.Adler32(bytes) != adler) || (crc32 is { } crc && LzopChecksum.Crc32(bytes) != crc))
        {
            throw CodecFault.Checksum(PayloadFormat.Lzo, $"the block at offset {start}");
        }
    }

    private static uint? ReadChecksum(ReadOnlySpan<byte> stream, ref int offset, bool present) =>
        present ? ReadWord(stream, ref offset) : null;

    private static uint ReadWord(ReadOnlySpan<byte> stream, ref int offset)
    {
        if (stream.Length - offset < sizeof(uint))
        {
            throw CodecFault.Truncated(PayloadFormat.Lzo, stream.Length, "the header of a block");
        }

        uint word = BinaryPrimitives.ReadUInt32BigEndian(stream[offset..]);
        offset += sizeof(uint);
        return word;
    }

    [LibraryImport(Library, EntryPoint = "lzo1x_decompress_safe")]
    private static unsafe partial int DecompressSafe(
        byte* source, nuint sourceLength, byte* destination, nuint* destinationLength, nint workMemory);
}

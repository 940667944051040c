using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace KaslrMt.Kernels;

/// <summary>
/// LZ4's legacy frame: a magic, then chunks of a 32-bit compressed size and a raw LZ4 block. Every chunk but the last unpacks to exactly
/// 8 MiB (<c>lib/decompress_unlz4.c</c>). It has no checksum: damage that still decodes to the declared size is not seen.
/// </summary>
internal static partial class Lz4Codec
{
    internal const string Library = "liblz4.so.1";

    private const uint Magic = 0x184c2102;
    private const int ChunkLength = 8 << 20;

    internal static unsafe void Decompress(ReadOnlySpan<byte> stream, Span<byte> destination)
    {
        List<Chunk> chunks = FindChunks(stream, destination.Length);
        int[] results = new int[chunks.Count];

        // An empty call, so that a missing library is found out here and no helper below can throw.
        _ = DecompressSafe(null, null, 0, 0);
        fixed (byte* source = stream)
        fixed (byte* target = destination)
        {
            nint sourceAddress = (nint)source;
            nint targetAddress = (nint)target;
            int next = -1;

            void UnpackChunks()
            {
                for (int i = Interlocked.Increment(ref next); i < results.Length; i = Interlocked.Increment(ref next))
                {
                    results[i] = Unpack(chunks[i], sourceAddress, targetAddress);
                }
            }

            // The chunks know nothing of each other, and where each one goes is known beforehand: all processors can share the work.
            // Bare tasks, because Parallel.For costs a fresh process 8 ms to load: twice what it saves.
            Task[] helpers = new Task[Math.Min(results.Length, Environment.ProcessorCount) - 1];
            for (int i = 0; i < helpers.Length; i++)
            {
                helpers[i] = Task.Run(UnpackChunks);
            }

            try
            {
                UnpackChunks();
            }
            finally
            {
                // The memory is pinned only until here.
                Task.WaitAll(helpers);
            }
        }

        for (int i = 0; i < results.Length; i++)
        {
            if (results[i] != chunks[i].UnpackedLength)
            {
                throw Fault(stream, destination, chunks[i], results[i]);
            }
        }
    }

    private static unsafe KaslrMtException Fault(ReadOnlySpan<byte> stream, Span<byte> destination, Chunk chunk, int result)
    {
        if (result >= 0)
        {
            return CodecFault.ShorterThanDeclared(PayloadFormat.Lz4, destination.Length, chunk.UnpackedOffset + (long)result);
        }

        // The codec says only "wrong". Unpacking as much as fits tells damage from a chunk that goes on beyond its room.
        int partial;
        fixed (byte* source = stream)
        fixed (byte* target = destination)
        {
            partial = DecompressPartial(
                source + chunk.Offset, target + chunk.UnpackedOffset, chunk.Length, chunk.UnpackedLength, chunk.UnpackedLength);
        }

        return partial == chunk.UnpackedLength
            ? CodecFault.LongerThanDeclared(PayloadFormat.Lz4, destination.Length)
            : CodecFault.Corrupt(PayloadFormat.Lz4, $"the chunk of {chunk.Length} bytes at offset {chunk.Offset} is damaged");
    }

    private static List<Chunk> FindChunks(ReadOnlySpan<byte> stream, int unpackedLength)
    {
        if (stream.Length < sizeof(uint))
        {
            throw CodecFault.Truncated(PayloadFormat.Lz4, stream.Length, "the magic 02214c18");
        }

        if (BinaryPrimitives.ReadUInt32LittleEndian(stream) != Magic)
        {
            throw CodecFault.Corrupt(
                PayloadFormat.Lz4, $"it begins with {Convert.ToHexStringLower(stream[..4])}, expected 02214c18 (legacy frame)");
        }

        List<Chunk> chunks = [];
        int offset = sizeof(uint);
        int unpacked = 0;
        while (stream.Length - offset >= sizeof(uint))
        {
            uint length = BinaryPrimitives.ReadUInt32LittleEndian(stream[offset..]);
            if (length == 0)
            {
                break;
            }

            if (unpacked == unpackedLength)
            {
                throw CodecFault.LongerThanDeclared(PayloadFormat.Lz4, unpackedLength);
            }

            offset += sizeof(uint);
            if (length > (uint)(stream.Length - offset))
            {
                throw CodecFault.Truncated(PayloadFormat.Lz4, stream.Length, $"a chunk of {length} bytes that begins at offset {offset}");
            }

            int chunk = Math.Min(ChunkLength, unpackedLength - unpacked);
            chunks.Add(new Chunk(offset, (int)length, unpacked, chunk));
            offset += (int)length;
            unpacked += chunk;
        }

        return unpacked == unpackedLength
            ? chunks
            : throw CodecFault.ShorterThanDeclared(PayloadFormat.Lz4, unpackedLength, unpacked);
    }

    private static unsafe int Unpack(Chunk chunk, nint source, nint target) => DecompressSafe(
        (byte*)source + chunk.Offset, (byte*)target + chunk.UnpackedOffset, chunk.Length, chunk.UnpackedLength);

    [LibraryImport(Library, EntryPoint = "LZ4_decompress_safe")]
    private static unsafe partial int DecompressSafe(byte* source, byte* destination, int sourceLength, int destinationCapacity);

    [LibraryImport(Library, EntryPoint = "LZ4_decompress_safe_partial")]
    private static unsafe partial int DecompressPartial(
        byte* source, byte* destination, int sourceLength, int targetLength, int destinationCapacity);

    private readonly record struct Chunk(int Offset, int Length, int UnpackedOffset, int UnpackedLength);
}

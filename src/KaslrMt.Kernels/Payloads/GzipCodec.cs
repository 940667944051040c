using System.IO.Compression;

namespace KaslrMt.Kernels;

/// <summary>gzip (RFC 1952), through the runtime's own zlib, which verifies the CRC.</summary>
internal static class GzipCodec
{
    /// <summary>Unpacks a whole gzip file, trailer included, into exactly <paramref name="destination"/>.</summary>
    internal static unsafe void Decompress(ReadOnlySpan<byte> payload, Span<byte> destination)
    {
        fixed (byte* source = payload)
        {
            using UnmanagedMemoryStream packed = new(source, payload.Length);
            using GZipStream unpacking = new(packed, CompressionMode.Decompress);
            try
            {
                int unpacked = unpacking.ReadAtLeast(destination, destination.Length, throwOnEndOfStream: false);
                if (unpacked < destination.Length)
                {
                    throw CodecFault.ShorterThanDeclared(PayloadFormat.Gzip, destination.Length, unpacked);
                }

                // One more read: only the end of the stream makes zlib verify its CRC.
                if (unpacking.ReadByte() >= 0)
                {
                    throw CodecFault.LongerThanDeclared(PayloadFormat.Gzip, destination.Length);
                }
            }
            catch (Exception e) when (e is InvalidDataException or IOException)
            {
                throw CodecFault.Corrupt(PayloadFormat.Gzip, "its deflate stream or CRC32 is damaged", e);
            }
        }
    }
}

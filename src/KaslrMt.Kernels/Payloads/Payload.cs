using System.Buffers.Binary;

namespace KaslrMt.Kernels;

/// <summary>
/// A bzImage's payload: one compressed stream, followed (except in gzip) by its unpacked size as a little-endian 32-bit word
/// (<c>size_append</c> in <c>scripts/Makefile.lib</c>; <c>payload_offset</c> in <c>Documentation/arch/x86/boot.rst</c>).
/// </summary>
/// <remarks>
/// As in the kernel's own decompressors, bytes between the end of the stream and the size word are ignored. Every codec is given exactly
/// the declared size as room, so that size bounds memory and time.
/// </remarks>
public static class Payload
{
    /// <summary>The most a payload may unpack to: 1 GiB, beyond which no kernel can be mapped (<c>KERNEL_IMAGE_SIZE</c>).</summary>
    public const int MaxUnpackedLength = NativeBuffer.MaxLength;

    /// <summary>
    /// The most a payload may grow by. Real kernels grow 4 to 8 times; 255 is what LZ4 and LZO can reach at all. A small file that
    /// promises a large kernel is refused before memory is taken for it.
    /// </summary>
    public const int MaxExpansion = 255;

    private const int SizeWordLength = sizeof(uint);

    /// <summary>The format of a payload by its first two bytes, as <c>decompress_method</c> in <c>lib/decompress.c</c> does.</summary>
    /// <returns>The format, or null when Linux would know none.</returns>
    public static PayloadFormat? Identify(ReadOnlySpan<byte> payload) => payload switch
    {
        [0x1f, 0x8b or 0x9e, ..] => PayloadFormat.Gzip,
        [0x42, 0x5a, ..] => PayloadFormat.Bzip2,
        [0x5d, 0x00, ..] => PayloadFormat.Lzma,
        [0xfd, 0x37, ..] => PayloadFormat.Xz,
        [0x89, 0x4c, ..] => PayloadFormat.Lzo,
        [0x02, 0x21, ..] => PayloadFormat.Lz4,
        [0x28, 0xb5, ..] => PayloadFormat.Zstd,
        _ => null,
    };

    /// <summary>
    /// The unpacked size a payload declares, in bytes: its last four bytes, little-endian (gzip: its ISIZE trailer, RFC 1952).
    /// </summary>
    /// <param name="payload">The whole payload, size word included.</param>
    /// <param name="format">Its format, for the message.</param>
    /// <returns>1 to <see cref="MaxUnpackedLength"/>.</returns>
    /// <exception cref="KaslrMtException">
    /// <see cref="KernelErrors.PayloadTruncated"/>: not even a size word; <see cref="KernelErrors.PayloadDeclaredSize"/>: the size is zero, above
    /// <see cref="MaxUnpackedLength"/> or above <see cref="MaxExpansion"/> times the payload.
    /// </exception>
    public static int DeclaredLength(ReadOnlySpan<byte> payload, PayloadFormat format)
    {
        if (payload.Length < SizeWordLength)
        {
            throw CodecFault.Truncated(format, payload.Length, "the unpacked size in its last 4 bytes");
        }

        uint declared = BinaryPrimitives.ReadUInt32LittleEndian(payload[^SizeWordLength..]);
        long plausible = Math.Min(MaxUnpackedLength, (long)payload.Length * MaxExpansion);
        if (declared == 0 || declared > plausible)
        {
            throw new KaslrMtException(
                KernelErrors.PayloadDeclaredSize,
                $"the {CodecFault.Name(format)} payload of {payload.Length} bytes declares an unpacked size of {declared} bytes, "
                + $"plausible are 1 to {plausible}",
                "the image is damaged or hostile; get it again from its source");
        }

        return (int)declared;
    }

    /// <summary>Identifies and unpacks a payload.</summary>
    /// <param name="payload">The whole payload, size word included.</param>
    /// <returns>The unpacked bytes, exactly as many as declared. The caller disposes it.</returns>
    /// <exception cref="KaslrMtException">Any of <see cref="KernelErrors"/> or <see cref="CoreErrors"/>.</exception>
    public static NativeBuffer Decompress(ReadOnlySpan<byte> payload) =>
        Decompress(payload, Identify(payload) ?? throw CodecFault.UnknownFormat(payload));

    /// <summary>Unpacks a payload into memory of its own.</summary>
    /// <param name="payload">The whole payload, size word included.</param>
    /// <param name="format">Its format, see <see cref="Identify"/>.</param>
    /// <returns>The unpacked bytes, exactly as many as declared. The caller disposes it.</returns>
    /// <exception cref="KaslrMtException">Any of <see cref="KernelErrors"/> or <see cref="CoreErrors"/>.</exception>
    public static NativeBuffer Decompress(ReadOnlySpan<byte> payload, PayloadFormat format)
    {
        NativeBuffer unpacked = new(DeclaredLength(payload, format));
        try
        {
            DecompressInto(payload, format, unpacked.Span);
            return unpacked;
        }
        catch
        {
            unpacked.Dispose();
            throw;
        }
    }

    /// <summary>Unpacks a payload into the caller's memory, for one that has a place for it already.</summary>
    /// <param name="payload">The whole payload, size word included. Must not overlap the destination.</param>
    /// <param name="format">Its format, see <see cref="Identify"/>.</param>
    /// <param name="destination">Exactly <see cref="DeclaredLength"/> bytes. Its content is undefined after an error.</param>
    /// <exception cref="ArgumentException">The destination is of another length than the payload declares.</exception>
    /// <exception cref="KaslrMtException">Any of <see cref="KernelErrors"/>.</exception>
    public static void DecompressInto(ReadOnlySpan<byte> payload, PayloadFormat format, Span<byte> destination)
    {
        int declared = DeclaredLength(payload, format);
        if (destination.Length != declared)
        {
            throw new ArgumentException(
                $"The destination has {destination.Length} bytes, the payload declares {declared}.", nameof(destination));
        }

        ReadOnlySpan<byte> stream = payload[..^SizeWordLength];
        try
        {
            switch (format)
            {
                case PayloadFormat.Gzip:
                    GzipCodec.Decompress(payload, destination);
                    break;
                case PayloadFormat.Bzip2:
                    Bzip2Codec.Decompress(stream, destination);
                    break;
                case PayloadFormat.Lzma:
                    LzmaAloneCodec.Decompress(stream, destination);
                    break;
                case PayloadFormat.Xz:
                    XzCodec.Decompress(stream, destination);
                    break;
                case PayloadFormat.Lzo:
                    LzopCodec.Decompress(stream, destination);
                    break;
                case PayloadFormat.Lz4:
                    Lz4Codec.Decompress(stream, destination);
                    break;
                case PayloadFormat.Zstd:
                    ZstdCodec.Decompress(stream, destination);
                    break;
                default:
                    throw new ArgumentOutOfRangeException(nameof(format), format, "Not a payload format.");
            }
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException or BadImageFormatException)
        {
            throw CodecFault.LibraryMissing(format, e);
        }
    }
}

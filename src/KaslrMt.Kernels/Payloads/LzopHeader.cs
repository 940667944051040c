using System.Buffers.Binary;

namespace KaslrMt.Kernels;

/// <summary>What lzop's file header says about the blocks behind it. All numbers are big-endian.</summary>
/// <param name="Length">Bytes of magic and header.</param>
/// <param name="Flags">Which checksums the blocks carry.</param>
internal readonly record struct LzopHeader(int Length, LzopFlags Flags)
{
    // lzop 0.94 of 1997; older files have a shorter header, and no kernel was ever built with it.
    private const ushort OldestVersion = 0x0940;
    private const int FlagsOffset = 9 + 8;
    private const int NameLengthOffset = FlagsOffset + 16;
    private const byte LastLzoMethod = 3;

    private static ReadOnlySpan<byte> Magic => [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a];

    /// <summary>Reads and verifies a header: magic, version, method (LZO1X), flags and its own checksum.</summary>
    internal static LzopHeader Read(ReadOnlySpan<byte> stream)
    {
        if (stream.Length <= NameLengthOffset)
        {
            throw CodecFault.Truncated(PayloadFormat.Lzo, stream.Length, "lzop's header");
        }

        if (!stream.StartsWith(Magic))
        {
            throw CodecFault.Corrupt(
                PayloadFormat.Lzo,
                $"it begins with {Convert.ToHexStringLower(stream[..Magic.Length])}, expected 894c5a4f000d0a1a0a (lzop)");
        }

        ushort version = BinaryPrimitives.ReadUInt16BigEndian(stream[Magic.Length..]);
        byte method = stream[FlagsOffset - 2];
        LzopFlags flags = (LzopFlags)BinaryPrimitives.ReadUInt32BigEndian(stream[FlagsOffset..]);
        if (version < OldestVersion)
        {
            throw CodecFault.Unsupported(PayloadFormat.Lzo, $"lzop version 0x{version:x4}, the oldest known is 0x{OldestVersion:x4}");
        }

        if (method is 0 or > LastLzoMethod)
        {
            throw CodecFault.Unsupported(PayloadFormat.Lzo, $"lzop method {method}, known are 1 to {LastLzoMethod} (LZO1X)");
        }

        // A filter would put 4 more bytes in front of the mode, an extra field a block behind the name.
        if ((flags & (LzopFlags.Filter | LzopFlags.ExtraField | LzopFlags.Multipart)) != 0)
        {
            throw CodecFault.Unsupported(PayloadFormat.Lzo, $"lzop flags 0x{(uint)flags:x} with a filter, an extra field or several parts");
        }

        int checksumOffset = NameLengthOffset + 1 + stream[NameLengthOffset];
        if (stream.Length - checksumOffset < sizeof(uint))
        {
            throw CodecFault.Truncated(PayloadFormat.Lzo, stream.Length, "the checksum of lzop's header");
        }

        uint expected = BinaryPrimitives.ReadUInt32BigEndian(stream[checksumOffset..]);
        ReadOnlySpan<byte> covered = stream[Magic.Length..checksumOffset];
        uint found = flags.HasFlag(LzopFlags.HeaderCrc32) ? LzopChecksum.Crc32(covered) : LzopChecksum.Adler32(covered);
        return expected == found
            ? new LzopHeader(checksumOffset + sizeof(uint), flags)
            : throw CodecFault.Checksum(PayloadFormat.Lzo, $"lzop's header, expected 0x{expected:x8}, found 0x{found:x8}");
    }
}

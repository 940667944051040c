using System.Runtime.InteropServices;

namespace KaslrMt.Kernels;

/// <summary>The two checksums of lzop's format, from liblzo2 itself.</summary>
internal static partial class LzopChecksum
{
    internal static unsafe uint Adler32(ReadOnlySpan<byte> bytes)
    {
        fixed (byte* buffer = bytes)
        {
            return UpdateAdler32(1, buffer, (nuint)bytes.Length);
        }
    }

    internal static unsafe uint Crc32(ReadOnlySpan<byte> bytes)
    {
        fixed (byte* buffer = bytes)
        {
            return UpdateCrc32(0, buffer, (nuint)bytes.Length);
        }
    }

    [LibraryImport(LzopCodec.Library, EntryPoint = "lzo_adler32")]
    private static unsafe partial uint UpdateAdler32(uint seed, byte* buffer, nuint length);

    [LibraryImport(LzopCodec.Library, EntryPoint = "lzo_crc32")]
    private static unsafe partial uint UpdateCrc32(uint seed, byte* buffer, nuint length);
}

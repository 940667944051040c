using System.Buffers.Binary;

namespace KaslrMt.Kernels.Tests;

/// <summary>A made-up bzImage of a few KiB: a sound setup header of protocol 2.15, one sector of setup code, and a payload.</summary>
internal static class SmallBzImage
{
    public const int ProtectedMode = 1024;
    public const int PayloadOffset = 0x100;

    /// <summary>The file.</summary>
    public static byte[] Build(ReadOnlySpan<byte> payload)
    {
        byte[] file = new byte[ProtectedMode + PayloadOffset + payload.Length];
        Span<byte> header = file;
        header[0x1f1] = 1;
        BinaryPrimitives.WriteUInt16LittleEndian(header[0x1fe..], 0xaa55);
        header[0x200] = 0xeb;
        header[0x201] = 0x6a;
        "HdrS"u8.CopyTo(header[0x202..]);
        BinaryPrimitives.WriteUInt16LittleEndian(header[0x206..], 0x020f);
        BinaryPrimitives.WriteUInt32LittleEndian(header[0x230..], 2 << 20);
        header[0x234] = 1;
        BinaryPrimitives.WriteUInt16LittleEndian(header[0x236..], 0x7f);
        BinaryPrimitives.WriteUInt32LittleEndian(header[0x238..], 2047);
        BinaryPrimitives.WriteUInt32LittleEndian(header[0x248..], PayloadOffset);
        BinaryPrimitives.WriteInt32LittleEndian(header[0x24c..], payload.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(header[0x258..], 16 << 20);
        BinaryPrimitives.WriteUInt32LittleEndian(header[0x260..], 64 << 20);
        payload.CopyTo(header[(ProtectedMode + PayloadOffset)..]);
        return file;
    }
}

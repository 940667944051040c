namespace KaslrMt.Kernels;

/// <summary>The flags of lzop's header that change how the file is read.</summary>
[Flags]
internal enum LzopFlags : uint
{
    None = 0,
    Adler32OfUnpacked = 0x1,
    Adler32OfPacked = 0x2,
    ExtraField = 0x40,
    Crc32OfUnpacked = 0x100,
    Crc32OfPacked = 0x200,
    Multipart = 0x400,
    Filter = 0x800,
    HeaderCrc32 = 0x1000,
}

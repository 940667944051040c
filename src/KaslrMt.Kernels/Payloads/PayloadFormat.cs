namespace KaslrMt.Kernels;

/// <summary>How a bzImage's payload is compressed: the seven formats of <c>lib/decompress.c</c>.</summary>
public enum PayloadFormat
{
    /// <summary>gzip (<c>CONFIG_KERNEL_GZIP</c>); its own trailer holds the unpacked size.</summary>
    Gzip,

    /// <summary>bzip2 (<c>CONFIG_KERNEL_BZIP2</c>).</summary>
    Bzip2,

    /// <summary>The old <c>.lzma</c> format, "LZMA alone" (<c>CONFIG_KERNEL_LZMA</c>).</summary>
    Lzma,

    /// <summary>XZ with the x86 BCJ filter and CRC32 (<c>CONFIG_KERNEL_XZ</c>, <c>scripts/xz_wrap.sh</c>).</summary>
    Xz,

    /// <summary>LZO1X in lzop's container (<c>CONFIG_KERNEL_LZO</c>).</summary>
    Lzo,

    /// <summary>LZ4's legacy frame, <c>lz4 -l</c> (<c>CONFIG_KERNEL_LZ4</c>).</summary>
    Lz4,

    /// <summary>Zstandard, <c>zstd -22 --ultra</c> with a window of 128 MiB (<c>CONFIG_KERNEL_ZSTD</c>).</summary>
    Zstd,
}

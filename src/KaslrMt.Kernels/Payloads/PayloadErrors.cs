namespace KaslrMt.Kernels;

/// <summary>The numbered errors of a payload and its codecs (KMT2101 and following).</summary>
public static class PayloadErrors
{
    /// <summary>The payload begins with no magic that Linux knows.</summary>
    public static readonly ErrorCode UnknownFormat = new(2101, ErrorCategory.Image);

    /// <summary>The payload ends before its compressed stream does.</summary>
    public static readonly ErrorCode Truncated = new(2102, ErrorCategory.Image);

    /// <summary>The compressed stream breaks its format's rules.</summary>
    public static readonly ErrorCode Corrupt = new(2103, ErrorCategory.Image);

    /// <summary>A checksum inside the compressed stream does not match.</summary>
    public static readonly ErrorCode Checksum = new(2104, ErrorCategory.Image);

    /// <summary>The stream unpacks to more bytes than the payload declares.</summary>
    public static readonly ErrorCode LongerThanDeclared = new(2105, ErrorCategory.Image);

    /// <summary>The stream unpacks to fewer bytes than the payload declares.</summary>
    public static readonly ErrorCode ShorterThanDeclared = new(2106, ErrorCategory.Image);

    /// <summary>The declared unpacked size is zero, above the limit, or out of all proportion to the payload.</summary>
    public static readonly ErrorCode DeclaredSize = new(2107, ErrorCategory.Image);

    /// <summary>The stream uses a feature of its format that kernels do not use and this program does not unpack.</summary>
    public static readonly ErrorCode Unsupported = new(2108, ErrorCategory.Image);

    /// <summary>A codec's shared library is not installed, or is too old or broken.</summary>
    public static readonly ErrorCode LibraryMissing = new(2120, ErrorCategory.Host);

    /// <summary>A codec could not get the memory it needs.</summary>
    public static readonly ErrorCode CodecOutOfMemory = new(2121, ErrorCategory.Host);
}

namespace KaslrMt.Kernels;

/// <summary>What can go wrong with writing images and with the image cache (KMT26xx).</summary>
public static class FileErrors
{
    /// <summary>A file could not be written (no permission, no such folder).</summary>
    public static readonly ErrorCode NotWritable = new(2601, ErrorCategory.Permission);

    /// <summary>A file could not be written whole: the disk is full or failing.</summary>
    public static readonly ErrorCode WriteFailed = new(2602, ErrorCategory.Host);

    /// <summary>The image cache's folder belongs to or is open to somebody else.</summary>
    public static readonly ErrorCode CacheNotPrivate = new(2603, ErrorCategory.Permission);
}

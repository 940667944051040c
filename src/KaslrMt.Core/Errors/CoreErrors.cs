namespace KaslrMt;

/// <summary>The numbered errors of this project: 2130 and 2131 native memory, 2601 to 2603 files written whole, 9000 and 9001 faults of the program and of its caller.</summary>
public static class CoreErrors
{
    /// <summary>A buffer of zero bytes or of more than <see cref="NativeBuffer.MaxLength"/> was asked for.</summary>
    public static readonly ErrorCode BufferLength = new(2130, ErrorCategory.Memory);

    /// <summary>The host gave no memory: <c>mmap(2)</c> failed.</summary>
    public static readonly ErrorCode OutOfMemory = new(2131, ErrorCategory.Host);

    /// <summary>A file could not be written (no permission, no such folder).</summary>
    public static readonly ErrorCode NotWritable = new(2601, ErrorCategory.Permission);

    /// <summary>A file could not be written whole: the disk is full or failing.</summary>
    public static readonly ErrorCode WriteFailed = new(2602, ErrorCategory.Host);

    /// <summary>The image cache's folder belongs to or is open to somebody else.</summary>
    public static readonly ErrorCode CacheNotPrivate = new(2603, ErrorCategory.Permission);

    /// <summary>A fault of this program.</summary>
    public static readonly ErrorCode Internal = new(9000, ErrorCategory.Host);

    /// <summary>An option or argument is unknown, missing or malformed.</summary>
    public static readonly ErrorCode Usage = new(9001, ErrorCategory.Usage);
}

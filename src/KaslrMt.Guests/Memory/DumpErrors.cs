namespace KaslrMt.Guests;

/// <summary>What can be wrong with a file of a guest's memory (KMT505x).</summary>
public static class DumpErrors
{
    /// <summary>The file cannot be opened or read.</summary>
    public static readonly ErrorCode Unreadable = new(5051, ErrorCategory.Permission);

    /// <summary>The file is no dump of a guest's memory, or a damaged one.</summary>
    public static readonly ErrorCode Invalid = new(5052, ErrorCategory.Image);

    /// <summary>The file is a dump in a format that is not read.</summary>
    public static readonly ErrorCode Unsupported = new(5053, ErrorCategory.Image);
}

namespace KaslrMt.Cli;

/// <summary>The numbered errors of the command (KMT90xx).</summary>
internal static class CommandErrors
{
    /// <summary>A file operation of the host's failed where no more precise error says which.</summary>
    public static readonly ErrorCode FileOperation = new(9008, ErrorCategory.Host);

    /// <summary>This process ran out of memory.</summary>
    public static readonly ErrorCode OutOfMemory = new(9009, ErrorCategory.Host);

    /// <summary>Standard output cannot be written.</summary>
    public static readonly ErrorCode Output = new(9010, ErrorCategory.Host);
}

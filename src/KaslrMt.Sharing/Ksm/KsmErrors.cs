namespace KaslrMt.Sharing;

/// <summary>What can be wrong with the host's kernel samepage merging (KMT601x).</summary>
public static class KsmErrors
{
    /// <summary>The host's kernel has no KSM.</summary>
    public static readonly ErrorCode Missing = new(6011, ErrorCategory.Host);

    /// <summary>This user may not change KSM's settings.</summary>
    public static readonly ErrorCode NotPermitted = new(6012, ErrorCategory.Permission);

    /// <summary>The kernel refused a setting, or a file of KSM's holds something else than a number.</summary>
    public static readonly ErrorCode Refused = new(6013, ErrorCategory.Host);

    /// <summary>Another measurement has changed KSM's settings and not yet given them back.</summary>
    public static readonly ErrorCode Borrowed = new(6014, ErrorCategory.Host);
}

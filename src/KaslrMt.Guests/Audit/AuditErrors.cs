namespace KaslrMt.Guests;

/// <summary>What can be wrong with what an audit looks at (KMT503x).</summary>
public static class AuditErrors
{
    /// <summary>The guest's log is not there or contradicts itself.</summary>
    public static readonly ErrorCode Log = new(5031, ErrorCategory.Guest);

    /// <summary>A kernel does not say where its text begins.</summary>
    public static readonly ErrorCode NoText = new(5033, ErrorCategory.Guest);

    /// <summary>The guest's list of kernel mappings is not there or does not end.</summary>
    public static readonly ErrorCode Areas = new(5032, ErrorCategory.Guest);
}

namespace KaslrMt.Lab;

/// <summary>The numbered errors of <c>kaslrmt-lab</c> (KMT90xx).</summary>
internal static class LabErrors
{
    /// <summary>Something the demonstration needs is missing.</summary>
    public static readonly ErrorCode Demo = new(9005, ErrorCategory.Host);

    /// <summary>What is to be shown holds no results of this program, or damaged ones.</summary>
    public static readonly ErrorCode Results = new(9019, ErrorCategory.Initialization);

    /// <summary>The file for a report exists already.</summary>
    public static readonly ErrorCode ReportExists = new(9020, ErrorCategory.Usage);
}

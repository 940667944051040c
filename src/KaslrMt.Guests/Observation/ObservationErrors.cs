namespace KaslrMt.Guests;

/// <summary>What can be wrong with what a guest's memory shows (KMT501x).</summary>
public static class ObservationErrors
{
    /// <summary>The guest's page tables hold no kernel: it has not booted far enough, or they are not a Linux kernel's.</summary>
    public static readonly ErrorCode NoKernel = new(5011, ErrorCategory.Guest);

    /// <summary>The guest's page tables do not end.</summary>
    public static readonly ErrorCode HostileTables = new(5012, ErrorCategory.Guest);

    /// <summary>The guest's memory does not hold the layout it was given.</summary>
    public static readonly ErrorCode Mismatch = new(5013, ErrorCategory.Guest);

    /// <summary>The guest runs another kernel than the image that was given.</summary>
    public static readonly ErrorCode WrongImage = new(5014, ErrorCategory.Guest);

    /// <summary>The guest's kernel has no list of modules.</summary>
    public static readonly ErrorCode NoModules = new(5021, ErrorCategory.Guest);

    /// <summary>The guest has more RAM than is looked at page by page.</summary>
    public static readonly ErrorCode TooLarge = new(5022, ErrorCategory.Guest);
}

namespace KaslrMt.Sharing;

/// <summary>What can be wrong with an experiment (KMT602x).</summary>
public static class ExperimentErrors
{
    /// <summary>The folder holds another experiment, or the same one with other settings.</summary>
    public static readonly ErrorCode OtherExperiment = new(6021, ErrorCategory.Usage);

    /// <summary>The host has too little free memory for so many guests.</summary>
    public static readonly ErrorCode TooLittleMemory = new(6022, ErrorCategory.Host);

    /// <summary>The disk has too little free space for the results or the guests' scratch files.</summary>
    public static readonly ErrorCode TooLittleDisk = new(6023, ErrorCategory.Host);

    /// <summary>Another process works in the experiment's folder.</summary>
    public static readonly ErrorCode FolderInUse = new(6024, ErrorCategory.Host);

    /// <summary>A guest's kernel, modules or disk is not on this machine.</summary>
    public static readonly ErrorCode GuestMissing = new(6025, ErrorCategory.Host);

    /// <summary>A guest did not boot: it hung, or it ended.</summary>
    public static readonly ErrorCode BootFailed = new(6026, ErrorCategory.Guest);

    /// <summary>A file of results is damaged.</summary>
    public static readonly ErrorCode Damaged = new(6027, ErrorCategory.Initialization);

    /// <summary>Too few guests booted for a result.</summary>
    public static readonly ErrorCode TooFewGuests = new(6028, ErrorCategory.Guest);
}

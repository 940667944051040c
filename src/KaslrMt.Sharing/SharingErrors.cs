namespace KaslrMt.Sharing;

/// <summary>The numbered errors of this project: 601x the host's KSM, 602x experiments.</summary>
public static class SharingErrors
{
    /// <summary>The host's kernel has no KSM.</summary>
    public static readonly ErrorCode KsmMissing = new(6011, ErrorCategory.Host);

    /// <summary>This user may not change KSM's settings.</summary>
    public static readonly ErrorCode KsmNotPermitted = new(6012, ErrorCategory.Permission);

    /// <summary>The kernel refused a setting, or a file of KSM's holds something else than a number.</summary>
    public static readonly ErrorCode KsmRefused = new(6013, ErrorCategory.Host);

    /// <summary>Another measurement has changed KSM's settings and not yet given them back.</summary>
    public static readonly ErrorCode KsmBorrowed = new(6014, ErrorCategory.Host);

    /// <summary>The folder holds another experiment, or the same one with other settings.</summary>
    public static readonly ErrorCode ExperimentOtherExperiment = new(6021, ErrorCategory.Usage);

    /// <summary>The host has too little free memory for so many guests.</summary>
    public static readonly ErrorCode ExperimentTooLittleMemory = new(6022, ErrorCategory.Host);

    /// <summary>The disk has too little free space for the results or the guests' scratch files.</summary>
    public static readonly ErrorCode ExperimentTooLittleDisk = new(6023, ErrorCategory.Host);

    /// <summary>Another process works in the experiment's folder.</summary>
    public static readonly ErrorCode ExperimentFolderInUse = new(6024, ErrorCategory.Host);

    /// <summary>A guest's kernel, modules or disk is not on this machine.</summary>
    public static readonly ErrorCode ExperimentGuestMissing = new(6025, ErrorCategory.Host);

    /// <summary>A guest did not boot: it hung, or it ended.</summary>
    public static readonly ErrorCode ExperimentBootFailed = new(6026, ErrorCategory.Guest);

    /// <summary>A file of results is damaged.</summary>
    public static readonly ErrorCode ExperimentDamaged = new(6027, ErrorCategory.Initialization);

    /// <summary>Too few guests booted for a result.</summary>
    public static readonly ErrorCode ExperimentTooFewGuests = new(6028, ErrorCategory.Guest);
}

namespace KaslrMt.Vms;

/// <summary>The numbered errors of this project: 90xx, what can go wrong in the life of a VM on a host.</summary>
public static class VmErrors
{
    /// <summary>A key file cannot be read, or others can read it.</summary>
    public static readonly ErrorCode KeyFile = new(9002, ErrorCategory.Permission);

    /// <summary>No tenant key was given where one is needed.</summary>
    public static readonly ErrorCode NoKey = new(9003, ErrorCategory.Usage);

    /// <summary>The initrd cannot be read.</summary>
    public static readonly ErrorCode Initrd = new(9004, ErrorCategory.Permission);

    /// <summary>No VM of that name runs.</summary>
    public static readonly ErrorCode NoSuchVm = new(9006, ErrorCategory.Usage);

    /// <summary>The VM cannot be verified: it boots with its kernel's own KASLR, or is still starting.</summary>
    public static readonly ErrorCode NoLayout = new(9007, ErrorCategory.Usage);

    /// <summary>The file for the guest's console cannot be written.</summary>
    public static readonly ErrorCode Console = new(9011, ErrorCategory.Permission);

    /// <summary>What describes a VM is malformed, or of a later version.</summary>
    public static readonly ErrorCode SpecInvalid = new(9013, ErrorCategory.Host);

    /// <summary>The configuration file is malformed or cannot be read.</summary>
    public static readonly ErrorCode Configuration = new(9014, ErrorCategory.Initialization);

    /// <summary>What is to be restored is no saved VM, or not that one.</summary>
    public static readonly ErrorCode NotSaved = new(9015, ErrorCategory.Initialization);

    /// <summary>The VM cannot be saved or moved: it is not detached, is starting, or is in no table of several hosts.</summary>
    public static readonly ErrorCode CannotMove = new(9016, ErrorCategory.Usage);

    /// <summary>The VM has no QEMU yet.</summary>
    public static readonly ErrorCode NotStarted = new(9017, ErrorCategory.Usage);

    /// <summary>The supervisors of two hosts cannot talk to each other.</summary>
    public static readonly ErrorCode Link = new(9018, ErrorCategory.Host);

    /// <summary>The guest's kernel cannot clear what it frees.</summary>
    public static readonly ErrorCode NoZeroing = new(9021, ErrorCategory.Usage);

    /// <summary>The VM ended before it ran.</summary>
    public static readonly ErrorCode Ended = new(9022, ErrorCategory.Host);

    /// <summary>The agent speaks another version of the interface than the command.</summary>
    public static readonly ErrorCode AgentVersion = new(9023, ErrorCategory.Host);

    /// <summary>The agent could not be started, or ended in the middle of an order.</summary>
    public static readonly ErrorCode AgentFailed = new(9024, ErrorCategory.Host);

    /// <summary>A request of the agent's interface is malformed.</summary>
    public static readonly ErrorCode RequestInvalid = new(9025, ErrorCategory.Usage);

    /// <summary>The caller may not act for the tenant that it names.</summary>
    public static readonly ErrorCode NotAllowed = new(9026, ErrorCategory.Permission);

    /// <summary>The agent cannot take its caller's rights.</summary>
    public static readonly ErrorCode RightsRefused = new(9027, ErrorCategory.Host);

    /// <summary>The process that understands kernel files crashed, or cannot be started.</summary>
    public static readonly ErrorCode WorkerCrashed = new(9031, ErrorCategory.Host);

    /// <summary>The process that understands kernel files took longer than it may.</summary>
    public static readonly ErrorCode WorkerTime = new(9032, ErrorCategory.Host);

    /// <summary>What the process that understands kernel files answered is not valid.</summary>
    public static readonly ErrorCode WorkerAnswer = new(9033, ErrorCategory.Image);
}

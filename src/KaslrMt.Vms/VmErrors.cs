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

    /// <summary>A detached VM's supervisor failed, or was called by hand.</summary>
    public static readonly ErrorCode Supervisor = new(9013, ErrorCategory.Host);

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

    /// <summary>The process that understands kernel files crashed, or cannot be started.</summary>
    public static readonly ErrorCode WorkerCrashed = new(9031, ErrorCategory.Host);

    /// <summary>The process that understands kernel files took longer than it may.</summary>
    public static readonly ErrorCode WorkerTime = new(9032, ErrorCategory.Host);

    /// <summary>What the process that understands kernel files answered is not valid.</summary>
    public static readonly ErrorCode WorkerAnswer = new(9033, ErrorCategory.Image);
}

namespace KaslrMt.Hypervisors;

/// <summary>The numbered errors of running a VM: 30xx.</summary>
public static class HypervisorErrors
{
    /// <summary>QEMU, or a program needed to start it, is not installed.</summary>
    public static readonly ErrorCode ProgramMissing = new(3001, ErrorCategory.Host);

    /// <summary>QEMU ended before its monitor answered.</summary>
    public static readonly ErrorCode VmDied = new(3002, ErrorCategory.Host);

    /// <summary>QEMU's monitor did not answer in time.</summary>
    public static readonly ErrorCode MonitorTimeout = new(3003, ErrorCategory.Host);

    /// <summary>What came from the monitor's socket is not QMP.</summary>
    public static readonly ErrorCode MonitorGarbage = new(3004, ErrorCategory.Host);

    /// <summary>QEMU refused a monitor command.</summary>
    public static readonly ErrorCode MonitorRefused = new(3005, ErrorCategory.Host);

    /// <summary>The monitor's connection is closed, or cannot be made.</summary>
    public static readonly ErrorCode MonitorClosed = new(3006, ErrorCategory.Host);

    /// <summary>A system call needed to run the VM failed.</summary>
    public static readonly ErrorCode SystemCall = new(3007, ErrorCategory.Host);

    /// <summary>A VM's name is not legal.</summary>
    public static readonly ErrorCode NameInvalid = new(3010, ErrorCategory.Usage);

    /// <summary>A running VM already has this name.</summary>
    public static readonly ErrorCode NameInUse = new(3011, ErrorCategory.Host);

    /// <summary>The runtime directory is not a private directory of this user.</summary>
    public static readonly ErrorCode RuntimeDirectoryUnsafe = new(3012, ErrorCategory.Permission);

    /// <summary>The runtime directory cannot be made or written.</summary>
    public static readonly ErrorCode RuntimeDirectoryFailed = new(3013, ErrorCategory.Host);

    /// <summary>A machine type, CPU count or other setting that makes no sense.</summary>
    public static readonly ErrorCode SettingInvalid = new(3020, ErrorCategory.Usage);

    /// <summary>A memory size no VM of this machine type can have.</summary>
    public static readonly ErrorCode MemorySize = new(3021, ErrorCategory.Memory);

    /// <summary>The initrd does not fit into the guest's low memory.</summary>
    public static readonly ErrorCode InitrdTooLarge = new(3022, ErrorCategory.Memory);

    /// <summary>The kernel or initrd cannot be read.</summary>
    public static readonly ErrorCode FileUnreadable = new(3023, ErrorCategory.Permission);

    /// <summary>A QEMU argument of the user's would take the VM out of our hands.</summary>
    public static readonly ErrorCode ArgumentRefused = new(3030, ErrorCategory.Usage);

    /// <summary>KVM was asked for and cannot work here.</summary>
    public static readonly ErrorCode KvmUnavailable = new(3031, ErrorCategory.Host);

    /// <summary>QEMU's description of the guest's memory could not be understood.</summary>
    public static readonly ErrorCode MemoryMap = new(3040, ErrorCategory.Host);

    /// <summary>A process that was named is no QEMU.</summary>
    public static readonly ErrorCode NoQemu = new(3041, ErrorCategory.Usage);

    /// <summary>Where a QEMU keeps its guest's RAM cannot be told without its monitor.</summary>
    public static readonly ErrorCode RamNotFound = new(3042, ErrorCategory.Host);

    /// <summary>A migration failed; the guest goes on where it was.</summary>
    public static readonly ErrorCode MigrationFailed = new(3060, ErrorCategory.Host);

    /// <summary>A guest that was to arrive did not.</summary>
    public static readonly ErrorCode ArrivalFailed = new(3061, ErrorCategory.Host);

    /// <summary>A guest's state cannot be saved; the guest goes on.</summary>
    public static readonly ErrorCode SaveFailed = new(3062, ErrorCategory.Host);

    /// <summary>A guest does not come to its gate.</summary>
    public static readonly ErrorCode GateSilent = new(3070, ErrorCategory.Guest);

    /// <summary>What a guest's gate says cannot be.</summary>
    public static readonly ErrorCode GateWords = new(3071, ErrorCategory.Guest);

    /// <summary>There is no busybox to make an initramfs of.</summary>
    public static readonly ErrorCode BusyboxMissing = new(3050, ErrorCategory.Host);
}

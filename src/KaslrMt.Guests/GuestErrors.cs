namespace KaslrMt.Guests;

/// <summary>The numbered errors of this project: 500x memory of a running guest, 501x its kernel, 502x modules, 503x audit, 505x dumps.</summary>
public static class GuestErrors
{
    /// <summary>A read outside the guest's RAM.</summary>
    public static readonly ErrorCode NotRam = new(5001, ErrorCategory.Guest);

    /// <summary>The guest exited before or while its memory was read.</summary>
    public static readonly ErrorCode GuestGone = new(5002, ErrorCategory.Host);

    /// <summary>The host does not let this process read the guest's memory.</summary>
    public static readonly ErrorCode AccessDenied = new(5003, ErrorCategory.Permission);

    /// <summary>The host failed to read the guest's memory.</summary>
    public static readonly ErrorCode ReadFailed = new(5004, ErrorCategory.Host);

    /// <summary>The guest's page tables hold no kernel: it has not booted far enough, or they are not a Linux kernel's.</summary>
    public static readonly ErrorCode NoKernel = new(5011, ErrorCategory.Guest);

    /// <summary>The guest's page tables do not end.</summary>
    public static readonly ErrorCode HostileTables = new(5012, ErrorCategory.Guest);

    /// <summary>The guest's memory does not hold the layout it was given.</summary>
    public static readonly ErrorCode LayoutMismatch = new(5013, ErrorCategory.Guest);

    /// <summary>The guest runs another kernel than the image that was given.</summary>
    public static readonly ErrorCode WrongImage = new(5014, ErrorCategory.Guest);

    /// <summary>The guest's kernel has no list of modules.</summary>
    public static readonly ErrorCode NoModules = new(5021, ErrorCategory.Guest);

    /// <summary>The guest has more RAM than is looked at page by page.</summary>
    public static readonly ErrorCode ModuleTooLarge = new(5022, ErrorCategory.Guest);

    /// <summary>The guest's log is not there or contradicts itself.</summary>
    public static readonly ErrorCode AuditLog = new(5031, ErrorCategory.Guest);

    /// <summary>The guest's list of kernel mappings is not there or does not end.</summary>
    public static readonly ErrorCode AuditAreas = new(5032, ErrorCategory.Guest);

    /// <summary>A kernel does not say where its text begins.</summary>
    public static readonly ErrorCode AuditNoText = new(5033, ErrorCategory.Guest);

    /// <summary>The file cannot be opened or read.</summary>
    public static readonly ErrorCode DumpUnreadable = new(5051, ErrorCategory.Permission);

    /// <summary>The file is no dump of a guest's memory, or a damaged one.</summary>
    public static readonly ErrorCode DumpInvalid = new(5052, ErrorCategory.Image);

    /// <summary>The file is a dump in a format that is not read.</summary>
    public static readonly ErrorCode DumpUnsupported = new(5053, ErrorCategory.Image);
}

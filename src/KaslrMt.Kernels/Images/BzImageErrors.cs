namespace KaslrMt.Kernels;

/// <summary>What can be wrong with a bzImage (KMT20xx).</summary>
public static class BzImageErrors
{
    /// <summary>The file is neither a bzImage nor an ELF vmlinux.</summary>
    public static readonly ErrorCode NotAKernel = new(2001, ErrorCategory.Image);

    /// <summary>The file ends before its setup header, protected-mode part or payload does.</summary>
    public static readonly ErrorCode Truncated = new(2002, ErrorCategory.Image);

    /// <summary>The boot protocol is older than 2.08, which introduced the payload fields.</summary>
    public static readonly ErrorCode ProtocolTooOld = new(2003, ErrorCategory.Image);

    /// <summary>A setup header field holds a value that no kernel build writes.</summary>
    public static readonly ErrorCode BadField = new(2004, ErrorCategory.Image);

    /// <summary>The kernel was built without CONFIG_RELOCATABLE, so it runs at its link address only.</summary>
    public static readonly ErrorCode NotRelocatable = new(2005, ErrorCategory.Image);

    /// <summary>The kernel is not a 64-bit x86 kernel.</summary>
    public static readonly ErrorCode Not64Bit = new(2006, ErrorCategory.Image);

    /// <summary>The file is larger than any kernel (limit 1 GiB).</summary>
    public static readonly ErrorCode TooLarge = new(2007, ErrorCategory.Image);

    /// <summary>The kernel file cannot be read.</summary>
    public static readonly ErrorCode Unreadable = new(2008, ErrorCategory.Permission);
}

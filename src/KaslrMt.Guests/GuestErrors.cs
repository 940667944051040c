namespace KaslrMt.Guests;

/// <summary>The numbered errors of reading a guest: 50xx.</summary>
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
}

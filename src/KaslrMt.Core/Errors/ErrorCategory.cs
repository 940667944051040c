namespace KaslrMt;

/// <summary>What kind of thing went wrong. The command's exit code follows from it (see <c>docs/errors.md</c>).</summary>
public enum ErrorCategory
{
    /// <summary>The caller asked for something that makes no sense: a policy of five digits, an unknown option. Exit code 2.</summary>
    Usage,

    /// <summary>The randomization could not be set up: a weak key, a producer or window that admits no layout. Exit code 3.</summary>
    Initialization,

    /// <summary>Memory is too small, has no room, or could not be had. Exit code 3.</summary>
    Memory,

    /// <summary>A relocation or boot patch could not be applied. Exit code 3.</summary>
    Relocation,

    /// <summary>A file may not be read or written, or is open to those it must be closed to. Exit code 3.</summary>
    Permission,

    /// <summary>A kernel image (or initrd) is truncated, corrupt, hostile or not supported. Exit code 3.</summary>
    Image,

    /// <summary>What a guest's memory holds is not what it must be. Exit code 1 for a check that failed.</summary>
    Guest,

    /// <summary>The tenant table failed. Exit code 4.</summary>
    Store,

    /// <summary>The host failed: QEMU missing or dead, a native library absent, a system call refused. Exit code 4.</summary>
    Host,
}

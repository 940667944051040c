namespace KaslrMt.Cli;

/// <summary>The command's exit codes (<c>docs/errors.md</c>).</summary>
internal static class ExitCode
{
    /// <summary>All went well.</summary>
    public const int Success = 0;

    /// <summary>A check that was asked for failed.</summary>
    public const int CheckFailed = 1;

    /// <summary>The command was called wrongly.</summary>
    public const int Usage = 2;

    /// <summary>What it was given is bad: an image, a key, a size, a file that cannot be read or written.</summary>
    public const int BadInput = 3;

    /// <summary>The host or a store failed: QEMU, a library, a disk.</summary>
    public const int HostFailed = 4;

    /// <summary>Ended by Ctrl-C or SIGTERM, as shells count: 128 + signal.</summary>
    public const int Interrupted = 130;

    /// <summary>The exit code of an error.</summary>
    public static int Of(ErrorCategory category) => category switch
    {
        ErrorCategory.Guest => CheckFailed,
        ErrorCategory.Usage => Usage,
        ErrorCategory.Store or ErrorCategory.Host => HostFailed,
        _ => BadInput,
    };
}

namespace KaslrMt;

/// <summary>Says in a clause why a file could not be used.</summary>
internal static class FileProblem
{
    /// <summary>The reason, without the path, which .NET's messages repeat in the middle.</summary>
    public static string Reason(Exception error) => error switch
    {
        FileNotFoundException => "no such file",
        DirectoryNotFoundException => "no such folder",
        UnauthorizedAccessException { InnerException: IOException cause } => cause.Message,
        UnauthorizedAccessException => "permission denied",
        _ => error.Message.Split(" : ")[0],
    };

    /// <summary>Whether a file that only one process may open is open elsewhere: flock(2) said EWOULDBLOCK.</summary>
    public static bool IsHeldByAnother(IOException error)
    {
        const int WouldBlock = 11;
        return error.HResult == WouldBlock;
    }
}

namespace KaslrMt;

/// <summary>The project's one exception: a numbered error with what was wrong, where, and what to do about it.</summary>
/// <remarks>The message is one line and never holds a secret (key, seed, base of a running VM).</remarks>
public sealed class KaslrMtException : Exception
{
    /// <summary>An error with its code, what was wrong (and where: file, offset, expected, found) and what to do.</summary>
    /// <param name="code">The numbered error.</param>
    /// <param name="problem">What was wrong and where, one line, without a full stop.</param>
    /// <param name="remedy">What the operator can do, one line, or null where nothing helps.</param>
    /// <param name="inner">The cause, kept for debuggers; the command never prints it.</param>
    public KaslrMtException(ErrorCode code, string problem, string? remedy = null, Exception? inner = null)
        : base(remedy is null ? problem : $"{problem}; {remedy}", inner)
    {
        Code = code;
        Problem = problem;
        Remedy = remedy;
    }

    /// <summary>The numbered error.</summary>
    public ErrorCode Code { get; }

    /// <summary>What kind of thing went wrong.</summary>
    public ErrorCategory Category => Code.Category;

    /// <summary>What was wrong and where.</summary>
    public string Problem { get; }

    /// <summary>What to do, or null.</summary>
    public string? Remedy { get; }
}

namespace KaslrMt.Cli;

/// <summary>Stack traces are for who debugs the program: they are shown with <c>KASLRMT_DEBUG=1</c> only.</summary>
internal static class Debugging
{
    /// <summary>How to see more.</summary>
    public const string Hint = "KASLRMT_DEBUG=1 shows where it was";

    /// <summary>Whether stack traces are shown.</summary>
    public static bool IsOn => Environment.GetEnvironmentVariable("KASLRMT_DEBUG") == "1";
}

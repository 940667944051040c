using Xunit;

namespace KaslrMt.TestSupport;

/// <summary>A program's entry: its words, standard output and standard error; its exit code.</summary>
public delegate Task<int> ProgramEntry(string[] args, TextWriter output, TextWriter error);

/// <summary>One call of a program in this process.</summary>
public sealed record Call(int Code, string Output, string Error)
{
    public static async Task<Call> RunAsync(ProgramEntry program, string[] args)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        int code = await program(args, output, error);
        return new Call(code, output.ToString(), error.ToString());
    }

    /// <summary>It failed with that number and exit code, in one line on standard error and nothing on standard output.</summary>
    public void FailedWith(string number, int exitCode)
    {
        Assert.Equal(exitCode, Code);
        Assert.StartsWith($"kaslrmt: {number}: ", Error, StringComparison.Ordinal);
        Assert.Single(Error.TrimEnd('\n').Split('\n'));
        Assert.DoesNotContain("   at ", Error, StringComparison.Ordinal);
        Assert.Equal("", Output);
    }
}

using System.Runtime.CompilerServices;

namespace KaslrMt.Cli.Tests;

/// <summary>One call of the command in this process.</summary>
internal sealed record Call(int Code, string Output, string Error)
{
    /// <summary>No test meets the VMs, cache and tenants of who runs it.</summary>
    [ModuleInitializer]
    internal static void UseOwnDirectories()
    {
        string folder = Directory.CreateTempSubdirectory("kaslrmt-cli-tests-").FullName;
        Environment.SetEnvironmentVariable("KASLRMT_RUNTIME_DIR", Path.Combine(folder, "run"));
        Environment.SetEnvironmentVariable("KASLRMT_STATE_DIR", Path.Combine(folder, "state"));
        Environment.SetEnvironmentVariable("XDG_CONFIG_HOME", Path.Combine(folder, "config"));
        Environment.SetEnvironmentVariable("KASLRMT_STORE", null);
        Environment.SetEnvironmentVariable("KASLRMT_KEK_FILE", null);
    }

    public static async Task<Call> Of(params string[] args)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        int code = await CommandLine.RunAsync(args, output, error);
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

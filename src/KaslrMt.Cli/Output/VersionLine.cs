using System.CommandLine;
using System.CommandLine.Invocation;
using System.Reflection;

namespace KaslrMt.Cli.Output;

/// <summary><c>--version</c>: <c>kaslrmt 0.1.0</c>.</summary>
internal static class VersionLine
{
    // What follows the plus is the commit.
    /// <summary>This program's version.</summary>
    public static string Version { get; } =
        typeof(VersionLine).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "";

    /// <summary>Makes <c>--version</c> print it.</summary>
    public static void Install(RootCommand root)
    {
        foreach (VersionOption version in root.Options.OfType<VersionOption>())
        {
            version.Description = "Show the version";
            version.Action = new Action();
        }
    }

    private sealed class Action : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            parseResult.InvocationConfiguration.Output.WriteLine($"{HelpPage.NameOf(parseResult.RootCommandResult.Command)} {Version}");
            return ExitCode.Success;
        }
    }
}

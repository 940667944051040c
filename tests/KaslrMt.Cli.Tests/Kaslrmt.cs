using System.Runtime.CompilerServices;

namespace KaslrMt.Cli.Tests;

/// <summary><c>kaslrmt</c>, called in this process.</summary>
internal static class Kaslrmt
{
    [ModuleInitializer]
    internal static void UseOwnDirectories() => OwnDirectories.Use("cli-tests");

    public static Task<Call> CallAsync(params string[] args) => Call.RunAsync(CommandLine.RunAsync, args);
}

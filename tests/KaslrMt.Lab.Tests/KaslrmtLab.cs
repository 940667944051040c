using System.Runtime.CompilerServices;
using KaslrMt.Cli;

namespace KaslrMt.Lab.Tests;

/// <summary><c>kaslrmt-lab</c>, called in this process.</summary>
internal static class KaslrmtLab
{
    [ModuleInitializer]
    internal static void UseOwnDirectories() => OwnDirectories.Use("lab-tests");

    public static Task<Call> CallAsync(params string[] args) => Call.RunAsync((words, output, error) => CommandLine.RunAsync(LabCommands.Create, words, output, error), args);
}

using System.CommandLine;

namespace KaslrMt.Cli;

/// <summary>All commands of one program: <c>kaslrmt</c>, or <c>kaslrmt-lab</c>.</summary>
/// <param name="program">The program's name, whatever its file is called.</param>
/// <param name="description">What it is for.</param>
internal sealed class ProgramCommand(string program, string description) : RootCommand(description)
{
    /// <summary>The program's name, as usage lines begin.</summary>
    public string Program { get; } = program;
}

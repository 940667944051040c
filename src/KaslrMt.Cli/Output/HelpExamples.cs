using System.CommandLine;
using System.Runtime.CompilerServices;

namespace KaslrMt.Cli.Output;

/// <summary>What a command's help says besides its options: most readers look at the examples first.</summary>
internal static class HelpExamples
{
    private static readonly ConditionalWeakTable<Command, string[]> Examples = [];

    /// <summary>Gives a command its examples.</summary>
    public static Command WithExamples(this Command command, params string[] examples)
    {
        Examples.Add(command, examples);
        return command;
    }

    /// <summary>A command's examples.</summary>
    public static IReadOnlyList<string> Of(Command command) => Examples.TryGetValue(command, out string[]? examples) ? examples : [];
}

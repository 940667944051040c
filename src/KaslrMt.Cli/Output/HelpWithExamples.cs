using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Runtime.CompilerServices;

namespace KaslrMt.Cli.Output;

/// <summary>Help that ends with examples: most readers look there first.</summary>
internal static class HelpWithExamples
{
    private static readonly ConditionalWeakTable<Command, string[]> Examples = [];

    /// <summary>Gives a command its examples.</summary>
    public static Command WithExamples(this Command command, params string[] examples)
    {
        Examples.Add(command, examples);
        return command;
    }

    /// <summary>Makes <c>--help</c> print them.</summary>
    public static void Install(RootCommand root)
    {
        foreach (HelpOption help in root.Options.OfType<HelpOption>())
        {
            help.Action = new Action((HelpAction)help.Action!);
        }
    }

    private sealed class Action(HelpAction standard) : SynchronousCommandLineAction
    {
        public override int Invoke(ParseResult parseResult)
        {
            int code = standard.Invoke(parseResult);
            TextWriter output = parseResult.InvocationConfiguration.Output;
            if (Examples.TryGetValue(parseResult.CommandResult.Command, out string[]? examples))
            {
                output.WriteLine("Examples:");
                foreach (string example in examples)
                {
                    output.WriteLine($"  {example}");
                }

                output.WriteLine();
            }

            return code;
        }
    }
}

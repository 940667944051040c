using KaslrMt.Cli.Output;
using System.CommandLine;
using System.CommandLine.Parsing;

namespace KaslrMt.Cli;

/// <summary>Says in one line what is wrong with a call that does not parse.</summary>
internal static class UsageProblem
{
    /// <summary>The error of a call; null when it parses.</summary>
    public static KaslrMtException? Of(ParseResult parsed)
    {
        if (parsed.Errors.Count == 0)
        {
            return null;
        }

        Command command = parsed.CommandResult.Command;
        string problem = parsed.UnmatchedTokens is [string word, ..] ? Unknown(word, command) : Explain(parsed.Errors[0], command);
        return new KaslrMtException(CoreErrors.Usage, problem, $"see '{HelpPage.NameOf(command)} --help'");
    }

    // What stands here by mistake may be a key: of options the name is shown, and a kaslr_mt that slipped out of --append is not.
    private static string Unknown(string word, Command command) => word switch
    {
        _ when word.Contains("kaslr_mt", StringComparison.OrdinalIgnoreCase) => "a kaslr_mt stands alone (not shown, it holds a key): it belongs inside the quotes of --append",
        ['-', ..] => $"unknown option '{Printable.Of(word.Split('=')[0], 60)}'",
        _ when command.Subcommands.Count > 0 => $"unknown command '{Printable.Of(word, 60)}'",
        _ => $"'{Printable.Of(word, 60)}' is more than '{HelpPage.NameOf(command)}' takes",
    };

    private static string Explain(ParseError error, Command command) => error.SymbolResult switch
    {
        OptionResult { Tokens.Count: 0, IdentifierToken: not null } option => $"{option.Option.Name} needs a value",
        ArgumentResult { Parent: CommandResult, Tokens.Count: 0 } argument => $"'{HelpPage.NameOf(command)}' needs {argument.Argument.Name}",
        CommandResult when command.Arguments.FirstOrDefault(argument => argument.Arity.MinimumNumberOfValues > 0) is { } missing => $"'{HelpPage.NameOf(command)}' needs {missing.Name}",
        _ => error.Message.TrimEnd('.'),
    };
}

using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace KaslrMt.Cli.Output;

/// <summary>A command's help, for 80 columns.</summary>
internal static class HelpPage
{
    private const int Widest = 80;
    private const int LabelColumn = 28;

    /// <summary>The end of the root's page.</summary>
    private static readonly string[] RootNotes =
    [
        "Exit codes:",
        "  0 success, 1 a check failed, 2 wrong usage, 3 bad input, 4 the host failed,",
        "  130 interrupted",
        "",
        "Every error is one line with a number, such as KMT3001; docs/errors.md lists",
        "them. 'kaslrmt COMMAND --help' explains a command; README.md is where to begin.",
    ];

    /// <summary>Makes <c>--help</c> print this page.</summary>
    public static void Install(RootCommand root)
    {
        foreach (HelpOption help in root.Options.OfType<HelpOption>())
        {
            help.Description = "Show this help";
            help.Aliases.Remove("-?");
            help.Aliases.Remove("/?");
            help.Aliases.Remove("/h");
            help.Action = new Action();
        }
    }

    /// <summary>How a command is called on the command line: <c>kaslrmt key new</c>.</summary>
    public static string NameOf(Command command) => command.Parents.OfType<Command>().FirstOrDefault() is { } parent
        ? $"{NameOf(parent)} {command.Name}"
        : command is ProgramCommand { Program: { } program } ? program : command.Name;

    /// <summary>Prints the page.</summary>
    public static void Print(TextWriter output, Command command)
    {
        int width = Math.Min(ReportWriter.ColumnsOf(output) ?? Widest, Widest);
        Paragraph.Print(output, "", $"{command.Description}.", width);
        output.WriteLine();
        output.WriteLine($"Usage: {Usage(command)}");
        Section(output, "Commands", command.Subcommands.Where(sub => !sub.Hidden).Select(sub => ($"{sub.Name}{Arguments(sub)}", sub.Description ?? "")), width);
        Section(output, "Arguments", command.Arguments.Select(argument => (argument.Name, argument.Description ?? "")), width);
        Section(output, "Options", Options(command).Select(option => (Label(option), Explain(option))), width);
        if (HelpExamples.Of(command) is { Count: > 0 } examples)
        {
            output.WriteLine();
            output.WriteLine("Examples:");
            foreach (string example in examples)
            {
                PrintExample(output, example, width);
            }
        }

        if (command is RootCommand)
        {
            output.WriteLine();
            Array.ForEach(RootNotes, output.WriteLine);
        }
    }

    private static string Usage(Command command)
    {
        string words = command.Subcommands.Count > 0 ? " COMMAND" : Arguments(command);
        return $"{NameOf(command)}{words} [options]{(command.Name == Commands.RunCommand.Word ? " [-- QEMU ARGS...]" : "")}";
    }

    private static string Arguments(Command command) => string.Concat(command.Arguments.Select(argument => $" {argument.Name}"));

    private static IEnumerable<Option> Options(Command command) =>
        command.Options.Where(option => !option.Hidden && option is not HelpOption)
            .Concat(Ancestors(command).SelectMany(ancestor => ancestor.Options.OfType<HelpOption>()));

    private static IEnumerable<Command> Ancestors(Command? command)
    {
        for (; command is not null; command = command.Parents.OfType<Command>().FirstOrDefault())
        {
            yield return command;
        }
    }

    private static string Label(Option option)
    {
        string names = string.Join(", ", option.Aliases.Prepend(option.Name).Distinct().OrderByDescending(name => name.Length == 2));
        return option.HelpName is { Length: > 0 } value ? $"{names} {value}" : names;
    }

    private static string Explain(Option option)
    {
        string needed = option.Required ? " (required)" : "";
        string standard = option is { HasDefaultValue: true, HelpName: not null } && option.GetDefaultValue() is { } value ? $" [default: {value}]" : "";
        return $"{option.Description}{needed}{standard}";
    }

    private static void Section(TextWriter output, string title, IEnumerable<(string Label, string Text)> entries, int width)
    {
        (string Label, string Text)[] all = [.. entries];
        if (all.Length == 0)
        {
            return;
        }

        output.WriteLine();
        output.WriteLine($"{title}:");
        int column = Math.Min(LabelColumn, all.Max(entry => entry.Label.Length) + 4);
        foreach ((string label, string? text) in all)
        {
            string lead = $"  {label}  ";
            if (lead.Length > column)
            {
                output.WriteLine(lead.TrimEnd());
                lead = "";
            }

            Paragraph.Print(output, lead.PadRight(column), text, width);
        }
    }

    // Broken before options, as a shell takes it, so that it can be pasted.
    private static void PrintExample(TextWriter output, string example, int width)
    {
        const string Indent = "  ", Continued = "      ", More = " \\";
        string line = Indent;
        foreach (string part in example.Split(" --"))
        {
            string piece = line == Indent ? part : $" --{part}";
            if (line != Indent && line.Length + piece.Length + More.Length > width)
            {
                output.WriteLine(line + More);
                line = Continued;
                piece = piece.TrimStart();
            }

            line += piece;
        }

        output.WriteLine(line);
    }

    private sealed class Action : SynchronousCommandLineAction
    {
        // So that 'kaslrmt layout --help' does not complain of what is missing.
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            Print(parseResult.InvocationConfiguration.Output, parseResult.CommandResult.Command);
            return ExitCode.Success;
        }
    }
}

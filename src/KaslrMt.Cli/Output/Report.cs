using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Spectre.Console;

namespace KaslrMt.Cli.Output;

/// <summary>Prints what a command found: tables and facts for people, JSON for programs.</summary>
internal static class Report
{
    // A pipe has no width; wide enough that no row of ours wraps, so that grep and awk see whole rows.
    private const int PipeWidth = 200;

    /// <summary>Prints JSON, indented, with a line end.</summary>
    public static void Json<T>(TextWriter output, T value, JsonTypeInfo<T> type) => output.WriteLine(JsonSerializer.Serialize(value, type));

    /// <summary>Prints labels and values in two columns; empty values are left out.</summary>
    public static void Facts(TextWriter output, params ReadOnlySpan<(string Label, string Value)> facts)
    {
        int width = 0;
        foreach ((string label, string value) in facts)
        {
            width = value.Length == 0 ? width : Math.Max(width, label.Length);
        }

        foreach ((string label, string value) in facts)
        {
            if (value.Length > 0)
            {
                output.WriteLine($"{label.PadRight(width)}  {value}");
            }
        }
    }

    /// <summary>A table without frame lines, for <see cref="Print"/>.</summary>
    public static Table Table(params ReadOnlySpan<string> columns)
    {
        var table = new Table().Border(TableBorder.Simple).SafeBorder();
        foreach (string column in columns)
        {
            bool number = column.StartsWith('>');
            var heading = new TableColumn(Markup.Escape(number ? column[1..] : column)).NoWrap();
            table.AddColumn(number ? heading.RightAligned() : heading);
        }

        return table;
    }

    /// <summary>Adds a row of plain text.</summary>
    public static void Row(this Table table, params IEnumerable<string> cells) => table.AddRow([.. cells.Select(cell => new Text(cell))]);

    /// <summary>Prints a table as wide as the terminal allows.</summary>
    public static void Print(TextWriter output, Table table)
    {
        bool terminal = ReferenceEquals(output, Console.Out) && !Console.IsOutputRedirected;
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = terminal ? AnsiSupport.Detect : AnsiSupport.No,
            Out = new AnsiConsoleOutput(output),
        });
        if (!terminal)
        {
            console.Profile.Width = PipeWidth;
        }

        console.Write(table);
    }
}

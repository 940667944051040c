using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace KaslrMt.Cli.Output;

/// <summary>Prints what a command found: tables and facts for people, JSON for programs.</summary>
internal static class Report
{
    /// <summary>Prints a report as JSON or as text, whichever was asked for.</summary>
    public static void Show<T>(TextWriter output, bool asJson, T report, JsonTypeInfo<T> type, Action<TextWriter, T> asText)
    {
        if (asJson)
        {
            Json(output, report, type);
        }
        else
        {
            asText(output, report);
        }
    }

    /// <summary>Prints JSON, indented, with a line end.</summary>
    public static void Json<T>(TextWriter output, T value, JsonTypeInfo<T> type) => output.WriteLine(JsonSerializer.Serialize(value, type));

    /// <summary>Prints labels and values in two columns; empty values are left out.</summary>
    public static void Facts(TextWriter output, params IReadOnlyList<(string Label, string Value)> facts)
    {
        int width = facts.Where(fact => fact.Value.Length > 0).Select(fact => fact.Label.Length).DefaultIfEmpty().Max();
        foreach ((string label, string value) in facts.Where(fact => fact.Value.Length > 0))
        {
            Paragraph.Print(output, $"{label.PadRight(width)}  ", Printable.Of(value), ReportWriter.ColumnsOf(output));
        }
    }

    /// <summary>A table to fill and <see cref="Print"/>.</summary>
    public static Table Table(params ReadOnlySpan<string> headings) => new(headings);

    /// <summary>Prints a table.</summary>
    public static void Print(TextWriter output, Table table) => table.Print(output, ReportWriter.ColumnsOf(output));
}

using System.Text;

namespace KaslrMt.Cli.Output;

/// <summary>Standard output: written when the command is done, so that a report comes whole.</summary>
/// <param name="stream">Where the text goes.</param>
internal sealed class ReportWriter(Stream stream) : StreamWriter(stream, new UTF8Encoding(false), BufferSize)
{
    private const int BufferSize = 64 << 10;

    /// <summary>The terminal's columns; null in a pipe or file, where rows are as long as they are.</summary>
    public int? Columns { get; init; } = Terminal.Columns();

    /// <summary>The columns of a command's output; null where nothing limits a row.</summary>
    public static int? ColumnsOf(TextWriter output) => (output as ReportWriter)?.Columns;
}

namespace KaslrMt.Cli.Output;

/// <summary>A table of plain text: a heading, a rule, rows; two spaces between columns, none at a row's end.</summary>
/// <remarks>A heading that starts with <c>&gt;</c> makes a column of numbers, one with <c>~</c> a column that is shortened for a narrow terminal.</remarks>
internal sealed class Table
{
    private const int Gap = 2;
    private const int Shortest = 8;

    private readonly string[] _headings;
    private readonly bool[] _numbers;
    private readonly bool[] _yielding;
    private readonly List<string[]> _rows = [];

    /// <summary>A table without rows.</summary>
    public Table(params ReadOnlySpan<string> headings)
    {
        _headings = [.. headings.ToArray().Select(heading => heading.TrimStart('>', '~'))];
        _numbers = [.. headings.ToArray().Select(heading => heading.StartsWith('>'))];
        _yielding = [.. headings.ToArray().Select(heading => heading.StartsWith('~'))];
    }

    /// <summary>Adds a row.</summary>
    public void Row(params ReadOnlySpan<string> cells)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(cells.Length, _headings.Length);
        _rows.Add([.. cells.ToArray().Select(cell => Printable.Of(cell))]);
    }

    /// <summary>Prints it.</summary>
    /// <param name="output">Where to.</param>
    /// <param name="columns">The terminal's columns, or null for rows as long as they are.</param>
    public void Print(TextWriter output, int? columns)
    {
        int[] widths = Widths(columns);
        PrintRow(output, _headings, widths);
        output.WriteLine(string.Join("  ", widths.Select(width => new string('-', width))));
        foreach (string[] row in _rows)
        {
            PrintRow(output, row, widths);
        }
    }

    private int[] Widths(int? columns)
    {
        int[] widths = [.. _headings.Select((heading, i) => _rows.Select(row => row[i].Length).Prepend(heading.Length).Max())];
        int excess = widths.Sum() + (Gap * (widths.Length - 1)) - (columns ?? int.MaxValue);
        for (; excess > 0; excess--)
        {
            int widest = -1;
            for (int i = 0; i < widths.Length; i++)
            {
                bool shrinks = _yielding[i] && widths[i] > Shortest;
                widest = shrinks && (widest < 0 || widths[i] > widths[widest]) ? i : widest;
            }

            if (widest < 0)
            {
                break;
            }

            widths[widest]--;
        }

        return widths;
    }

    private void PrintRow(TextWriter output, string[] cells, int[] widths)
    {
        IEnumerable<string> padded = cells.Select((cell, i) =>
        {
            string shown = cell.Length <= widths[i] ? cell : cell[..(widths[i] - 1)] + "…";
            return _numbers[i] ? shown.PadLeft(widths[i]) : shown.PadRight(widths[i]);
        });
        output.WriteLine(string.Join("  ", padded).TrimEnd());
    }
}

namespace KaslrMt.Cli.Output;

/// <summary>Breaks text into lines at spaces.</summary>
internal static class Paragraph
{
    /// <summary>The text's lines, each at most that wide unless one word is wider.</summary>
    /// <param name="text">The text; its spaces are where lines may end.</param>
    /// <param name="width">Columns, or null for one line.</param>
    public static IEnumerable<string> Lines(string text, int? width)
    {
        if (width is not int limit)
        {
            yield return text;
            yield break;
        }

        string line = "";
        foreach (string word in text.Split(' '))
        {
            if (line.Length > 0 && line.Length + 1 + word.Length > limit)
            {
                yield return line;
                line = word;
            }
            else
            {
                line = line.Length == 0 ? word : $"{line} {word}";
            }
        }

        yield return line;
    }

    /// <summary>Prints a label and, beside it, text that is broken into lines which begin where its first does.</summary>
    /// <param name="output">Where to.</param>
    /// <param name="label">The label, padded as the caller wants it.</param>
    /// <param name="text">The text.</param>
    /// <param name="width">Columns for both, or null for one line.</param>
    public static void Print(TextWriter output, string label, string text, int? width)
    {
        foreach (string line in Lines(text, width - label.Length))
        {
            output.WriteLine($"{label}{line}".TrimEnd());
            label = new string(' ', label.Length);
        }
    }
}

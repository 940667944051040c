namespace KaslrMt.Lab.Html;

/// <summary>One cell of a table.</summary>
/// <param name="Text">What it says.</param>
/// <param name="Small">What it says below, smaller.</param>
/// <param name="Style">A class of the page's style sheet.</param>
internal sealed record HtmlCell(string Text, string? Small = null, string? Style = null)
{
    /// <summary>A cell of text.</summary>
    public static implicit operator HtmlCell(string text) => new(text);
}

/// <summary>A table: what a chart shows, for those who cannot see it, for print, and to be copied. The first column names the row.</summary>
/// <param name="caption">What the table shows.</param>
/// <param name="headings">The columns; those of numbers begin with <c>&gt;</c>.</param>
internal sealed class HtmlTable(string caption, params IReadOnlyList<string> headings)
{
    // The longest name shown of what somebody else named.
    private const int Longest = 160;

    private readonly HtmlText _rows = new();

    /// <summary>Whether rows can be put in another order by a click on a heading.</summary>
    public bool Sortable { get; init; }

    /// <summary>A class of the page's style sheet.</summary>
    public string Style { get; init; } = "plain";

    /// <summary>What is written on a long table that is folded up until it is wanted; null for one that is always there. In print it is there.</summary>
    public string? Folded { get; init; }

    /// <summary>Adds a row.</summary>
    public HtmlTable Row(params IReadOnlyList<HtmlCell> cells)
    {
        _rows.Markup("<tr>");
        for (int i = 0; i < cells.Count; i++)
        {
            string style = $"{(headings[i].StartsWith('>') ? "number" : "text")} {cells[i].Style}".TrimEnd();
            HtmlText small = cells[i].Small is { } below ? new HtmlText().Add($"<small>{below}</small>") : new HtmlText();
            string text = Printable.Of(cells[i].Text, Longest);
            _ = i == 0
                ? _rows.Add($"<th scope=\"row\" class=\"{style}\"><bdi>{text}</bdi>{small}</th>")
                : _rows.Add($"<td class=\"{style}\"><bdi>{text}</bdi>{small}</td>");
        }

        _rows.Markup("</tr>\n");
        return this;
    }

    /// <summary>The table.</summary>
    public HtmlText ToHtml()
    {
        HtmlText head = new();
        foreach (string heading in headings)
        {
            head.Add($"<th scope=\"col\" class=\"{(heading.StartsWith('>') ? "number" : "text")}\">{heading.TrimStart('>')}</th>");
        }

        // Wide tables scroll inside their own frame, which the keyboard reaches too.
        string style = Sortable ? $"{Style} sortable" : Style;
        HtmlText table = new HtmlText().Add(
            $"<div class=\"frame\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}\"><table class=\"{style}\"><caption><span>{caption}</span></caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{_rows}</tbody></table></div>\n");
        return Folded is null ? table : new HtmlText().Add($"<details><summary>{Folded}</summary>\n{table}</details>\n");
    }
}

using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace KaslrMt.Lab.Html;

/// <summary>A page of results in one file that needs nothing else: tables made here, charts drawn by the script that it carries.</summary>
internal sealed class HtmlPage
{
    // What takes two columns.
    private const int LongFact = 30;

    private readonly HtmlText _body = new();
    private readonly HtmlText _contents = new();
    private readonly List<Chart> _charts = [];
    private readonly Dictionary<(string Kind, string Name), int> _styles = [];
    private int _sections;
    private bool _open;

    /// <summary>Begins a section.</summary>
    /// <param name="title">Its heading.</param>
    /// <param name="subject">What it is about, in a line below.</param>
    public void Section(string title, string subject)
    {
        Close();
        _open = true;
        _sections++;
        _contents.Add($"<li><a href=\"#section-{_sections}\">{title}<span>{subject}</span></a></li>\n");
        _body.Add($"<section id=\"section-{_sections}\" aria-labelledby=\"heading-{_sections}\">\n<h2 id=\"heading-{_sections}\">{title}</h2>\n<p class=\"subject\">{subject}</p>\n");
    }

    /// <summary>Adds a heading inside a section.</summary>
    /// <param name="text">The heading.</param>
    /// <param name="style">A class of the page's style sheet: <c>page</c> begins a new sheet in print.</param>
    public void Heading(string text, string style = "part") => _body.Add($"<h3 class=\"{style}\">{text}</h3>\n");

    /// <summary>Adds a paragraph.</summary>
    public void Paragraph(string text, string style = "prose") => _body.Add($"<p class=\"{style}\">{text}</p>\n");

    /// <summary>Adds labels with their values; empty ones are left out.</summary>
    public void Facts(params IReadOnlyList<(string Label, string? Value)> facts)
    {
        _body.Markup("<dl class=\"facts\">\n");
        foreach ((string label, string? value) in facts.Where(fact => !string.IsNullOrEmpty(fact.Value)))
        {
            string style = value!.Length > LongFact ? "wide" : "narrow";
            _body.Add($"<div class=\"{style}\"><dt>{label}</dt><dd>{value}</dd></div>\n");
        }

        _body.Markup("</dl>\n");
    }

    /// <summary>Adds figures that are read first.</summary>
    public void Tiles(params IReadOnlyList<(string Label, string Figure, string Note)> tiles)
    {
        _body.Markup("<ul class=\"tiles\">\n");
        foreach ((string label, string figure, string note) in tiles)
        {
            _body.Add($"<li><span class=\"label\">{label}</span><strong>{figure}</strong><span class=\"note\">{note}</span></li>\n");
        }

        _body.Markup("</ul>\n");
    }

    /// <summary>Adds a table.</summary>
    public void Table(HtmlTable table) => _body.Add($"{table.ToHtml()}");

    /// <summary>Adds a chart with its caption.</summary>
    /// <param name="caption">What it shows and how to read it.</param>
    /// <param name="make">Makes the chart, given its identifier.</param>
    public void Figure(string caption, Func<string, Chart> make)
    {
        Chart chart = make($"chart-{_charts.Count + 1}");
        _charts.Add(chart);
        _body.Add($"<figure><div class=\"chart\" id=\"{chart.Id}\" role=\"img\" aria-label=\"{chart.Label}\"></div>\n<figcaption>{caption}</figcaption></figure>\n");
    }

    /// <summary>Something that keeps its colour, dash and symbol all over the page.</summary>
    /// <param name="kind">What kind of thing it is: things of other kinds do not take its colour away.</param>
    /// <param name="name">Its name.</param>
    public ChartSeries Series(string kind, string name)
    {
        if (!_styles.TryGetValue((kind, name), out int style))
        {
            style = _styles.Keys.Count(known => known.Kind == kind);
            _styles.Add((kind, name), style);
        }

        return new ChartSeries(name, style);
    }

    /// <summary>The page.</summary>
    /// <param name="title">Its title.</param>
    /// <param name="lead">What it is, in a sentence or two.</param>
    /// <param name="footer">What stands at its end.</param>
    public string ToHtml(string title, string lead, string footer)
    {
        Close();
        string library = $"\n{PageResources.Library}\n", script = $"\n{PageResources.Script}\n";

        // Nothing is loaded from anywhere, and no script runs but these two. Styles are allowed inline, because each chart brings a sheet of its own.
        string policy = $"default-src 'none'; style-src 'unsafe-inline'; script-src {Hash(library)} {Hash(script)}; base-uri 'none'; form-action 'none'";
        string data = JsonSerializer.Serialize(_charts, ChartJson.Default.IReadOnlyListChart);
        return new HtmlText()
            .Markup("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
            .Add($"<meta http-equiv=\"Content-Security-Policy\" content=\"{new HtmlText().Trusted(policy)}\">\n")
            .Markup("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n")
            .Add($"<title>{title}</title>\n<style>\n{new HtmlText().Trusted(PageResources.Style)}</style>\n</head>\n<body>\n")
            .Add($"<header><p class=\"brand\">kaslrmt</p><h1>{title}</h1><p class=\"lead\">{lead}</p></header>\n")
            .Add($"<nav aria-label=\"Contents\"><ol>\n{_contents}</ol></nav>\n")
            .Markup("<noscript><p class=\"prose\">Charts need JavaScript; every figure is in the tables too.</p></noscript>\n")
            .Add($"<main>\n{_body}</main>\n<footer><p>{footer}</p></footer>\n")
            .Add($"<script type=\"application/json\" id=\"data\">{new HtmlText().Trusted(data)}</script>\n")
            .Add($"<script>{new HtmlText().Trusted(library)}</script>\n<script>{new HtmlText().Trusted(script)}</script>\n</body>\n</html>\n")
            .ToString();
    }

    private static string Hash(string script) => $"'sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(script)))}'";

    private void Close()
    {
        if (_open)
        {
            _body.Markup("</section>\n");
        }
    }
}

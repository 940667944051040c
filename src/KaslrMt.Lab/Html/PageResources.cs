namespace KaslrMt.Lab.Html;

/// <summary>What every page carries: its style, its script, and the library that draws.</summary>
internal static class PageResources
{
    // In this order: each uses what those before it define.
    private static readonly string[] Scripts = ["marks.js", "lines.js", "bars.js", "dots.js", "space.js", "page.js"];

    /// <summary>The style sheet.</summary>
    public static string Style => Read("page.css");

    /// <summary>This project's own script.</summary>
    public static string Script => string.Concat(Scripts.Select(Read));

    /// <summary>D3 and Observable Plot with their licences (<c>eng/charts.sh</c>).</summary>
    public static string Library => Read("library.js");

    private static string Read(string name)
    {
        using Stream stream = typeof(PageResources).Assembly.GetManifestResourceStream($"Html/{name}")
            ?? throw new InvalidOperationException($"the program was built without {name}");
        using var reader = new StreamReader(stream);

        // A browser reads CR LF as LF, and would compute another digest.
        return reader.ReadToEnd().Replace("\r\n", "\n", StringComparison.Ordinal);
    }
}

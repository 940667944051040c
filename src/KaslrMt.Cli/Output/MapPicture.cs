using System.Numerics;
using KaslrMt.Guests;

namespace KaslrMt.Cli.Output;

/// <summary>An address space as a bar from its lowest address down the screen, one field for each region, in at most 80 columns.</summary>
/// <remarks>Fields are as high as the logarithm of their region's size, and filled as far as the logarithm of what is mapped of it.</remarks>
internal static class MapPicture
{
    private const int BarWidth = 14;
    private const int PageBits = 12;
    private const int BitsPerRow = 9;
    private const int TallestHole = 1;

    private static readonly Glyphs Plain = new("|", "+", "+", "-", ['.', ':', '=', '#']);
    private static readonly Glyphs Fine = new("│", "└", "┘", "─", ['░', '▒', '▓', '█']);

    /// <summary>Draws it.</summary>
    /// <param name="output">Where to.</param>
    /// <param name="regions">The regions, ascending.</param>
    /// <param name="unicode">Whether the terminal shows block characters.</param>
    public static void Draw(TextWriter output, IReadOnlyList<MapRegion> regions, bool unicode)
    {
        Glyphs glyphs = unicode ? Fine : Plain;
        foreach (MapRegion region in regions)
        {
            int height = Math.Max(1, (BitOperations.Log2(region.Size) - PageBits) / BitsPerRow);
            height = region.Name == MapRegion.Hole ? Math.Min(height, TallestHole) : height;
            string bar = Fill(region, glyphs).PadRight(BarWidth);
            for (int row = 0; row < height; row++)
            {
                string lead = row == 0 ? region.Start.ToString() : new string(' ', region.Start.ToString().Length);
                string text = row == 0 ? $"  {region.Name,-17}{Sizes.Of(region.Size),7}  {Accesses(region)}" : "";
                output.WriteLine($"{lead} {glyphs.Side}{bar}{glyphs.Side}{text}".TrimEnd());
            }
        }

        output.WriteLine($"{new VirtualAddress(ulong.MaxValue)} {glyphs.Left}{string.Concat(Enumerable.Repeat(glyphs.Bottom, BarWidth))}{glyphs.Right}");
        output.WriteLine($"{glyphs.Shades[0]} read  {glyphs.Shades[1]} write  {glyphs.Shades[2]} execute  {glyphs.Shades[3]} write and execute");
        output.WriteLine("height: logarithm of the size; fill: logarithm of what is mapped of it");
    }

    private static string Fill(MapRegion region, Glyphs glyphs)
    {
        ulong mapped = region.Mapped >> PageBits;
        if (mapped == 0)
        {
            return "";
        }

        double part = Math.Log2(1 + mapped) / Math.Log2(1 + Math.Max(mapped, region.Size >> PageBits));
        int columns = Math.Clamp((int)Math.Round(part * BarWidth), 1, BarWidth);

        // Each kind of page gets a share of the columns by its logarithm, and at least one.
        (int Shade, ulong Pages)[] kinds = [.. region.Pages
            .GroupBy(pages => (pages.Access.Writable ? 1 : 0) + (pages.Access.Executable ? 2 : 0))
            .Select(kind => (kind.Key, kind.Aggregate(0UL, (sum, pages) => sum + (pages.Bytes >> PageBits))))
            .OrderByDescending(kind => kind.Item2)];
        double all = kinds.Sum(kind => Math.Log2(1 + kind.Pages));
        string bar = string.Concat(kinds.Select(kind =>
            new string(glyphs.Shades[kind.Shade], Math.Max(1, (int)Math.Round(columns * Math.Log2(1 + kind.Pages) / all)))));
        return bar.Length > BarWidth ? bar[..BarWidth] : bar;
    }

    private static string Accesses(MapRegion region) => string.Join(' ', region.Pages.Select(pages => pages.Access.ToString()).Distinct().Take(3));

    private sealed record Glyphs(string Side, string Left, string Right, string Bottom, char[] Shades);
}

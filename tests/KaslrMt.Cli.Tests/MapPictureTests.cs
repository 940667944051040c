using KaslrMt.Cli.Output;
using KaslrMt.Guests;

namespace KaslrMt.Cli.Tests;

public sealed class MapPictureTests
{
    private static readonly MappedPages[] Everything =
    [
        new(new PageAccess(false, false, false, true), 5, 0, 0),
        new(new PageAccess(true, false, false, true), 500, 7, 0),
        new(new PageAccess(false, true, true, true), 1, 1, 1),
        new(new PageAccess(true, true, true, true), 1 << 30, 1 << 20, 99),
    ];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_picture_fits_80_columns_and_shows_every_region_once_in_order(bool unicode)
    {
        string[] names = ["hole", "LDT of processes", "cpu_entry_area", "kernel text"];
        MapRegion[] regions =
        [
            new(names[0], new(0xff00000000000000), new(0xff0fffffffffffff), []),
            new(names[1], new(0xff10000000000000), new(0xff1fffffffffffff), [.. Everything]),
            new(names[2], new(0xff20000000000000), new(0xff20000000000fff), [Everything[0]]),
            new(names[3], new(0xff20000000001000), new(ulong.MaxValue), [Everything[2]]),
        ];
        string[] lines = Draw(regions, unicode);
        Assert.All(lines, line => Assert.InRange(line.Length, 0, 80));
        Assert.Equal(names, lines.Select(line => names.FirstOrDefault(name => line.Contains($"  {name} ", StringComparison.Ordinal))).OfType<string>());
        Assert.All(regions, region => Assert.Single(lines, line => line.StartsWith(region.Start.ToString(), StringComparison.Ordinal)));
        Assert.Equal(!unicode, lines.All(line => line.All(char.IsAscii)));
    }

    [Fact]
    public void What_is_mapped_fills_the_bar_and_a_hole_leaves_it_empty()
    {
        string[] lines = Draw(
        [
            new("hole", new(0xffffffff00000000), new(0xffffffff7fffffff), []),
            new("kernel text", new(0xffffffff80000000), new(0xffffffff807fffff), [new(new PageAccess(false, true, false, true), 0, 4, 0)]),
        ], unicode: false);
        Assert.Contains("|              |  hole", lines[0], StringComparison.Ordinal);
        Assert.Contains("|==============|  kernel text           8M  r-xg", lines[1], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(4096UL, "4K")]
    [InlineData(1UL << 45, "32T")]
    [InlineData(0x826000UL, "8.15M")]
    [InlineData(ulong.MaxValue, "16E")]
    public void Sizes_are_three_digits_and_a_unit(ulong bytes, string text) => Assert.Equal(text, Sizes.Of(bytes));

    private static string[] Draw(MapRegion[] regions, bool unicode)
    {
        var output = new StringWriter { NewLine = "\n" };
        MapPicture.Draw(output, regions, unicode);
        return output.ToString().TrimEnd('\n').Split('\n');
    }
}

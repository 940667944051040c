using FsCheck;
using FsCheck.Fluent;
using KaslrMt.Guests;

namespace KaslrMt.Sharing.Tests.Experiments;

/// <summary>The curve's point for n guests is what comparing the first n alone gives.</summary>
public sealed class GuestCurveTests
{
    private const int PageSize = 4096;

    [Fact]
    public void Each_point_is_what_comparing_so_many_guests_gives()
    {
        var page = from content in Gen.Choose(0, 5) from pageClass in Gen.Choose(0, 12) select ((byte)content, (PageClass)pageClass);
        Prop.ForAll(page.ListOf().ListOf().ToArbitrary(), drawn =>
        {
            GuestPages[] guests = [.. drawn.Take(6).Select(pages => Guest([.. pages.Select(one => one.Item1)], [.. pages.Select(one => one.Item2)]))];
            SharingCurve curve = GuestCurve.Of(guests, default).Curve;
            return curve.Points.Length == guests.Length && curve.Points.All(point =>
            {
                SharingTable table = EqualPages.Group([.. guests.Take(point.Guests)], compareBytes: true, default).Count();
                return (point.KernelPages, point.KernelDistinct, point.AllPages, point.AllDistinct) == (table.Kernel.Pages, table.Kernel.Distinct, table.All.Pages, table.All.Distinct);
            });
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Shares_are_those_of_redundant_pages()
    {
        SharingCurve curve = GuestCurve.Of([Guest([1, 2], Code(2)), Guest([1, 3], Code(2))], default).Curve;
        Assert.Equal([0, 0.25], curve.Points.Select(point => point.KernelRedundantShare));
        Assert.Equal([0, 0.25], curve.Points.Select(point => point.AllRedundantShare));
    }

    [Fact]
    public void A_page_that_changed_counts_as_one_of_its_own()
    {
        byte[] ram = Ram([1]);
        GuestPages changing = new("b", null, "", new ArrayMemory(ram), Code(1), [PageFingerprint.Of(ram)]);
        ram[7] ^= 1;
        Assert.Equal([1L, 2L], GuestCurve.Of([Guest([1], Code(1)), changing], default).Curve.Points.Select(point => point.KernelDistinct));
    }

    private static PageClass[] Code(int count) => [.. Enumerable.Repeat(PageClass.KernelCode, count)];

    private static GuestPages Guest(byte[] contents, PageClass[] classes)
    {
        byte[] ram = Ram(contents);
        return new GuestPages("guest", null, "", new ArrayMemory(ram), classes, [.. ram.Chunk(PageSize).Select(page => PageFingerprint.Of(page))]);
    }

    private static byte[] Ram(byte[] contents) => [.. contents.SelectMany(content => Enumerable.Repeat(content, PageSize))];
}

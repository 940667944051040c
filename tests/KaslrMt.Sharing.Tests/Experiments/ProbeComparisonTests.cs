using FsCheck;
using FsCheck.Fluent;
using KaslrMt.Guests;

namespace KaslrMt.Sharing.Tests.Experiments;

/// <summary>Equal pages of several probes, by content and by place, are those that a count by hand finds.</summary>
public sealed class ProbeComparisonTests
{
    [Fact]
    public void By_content_a_page_counts_when_all_probes_have_it_anywhere_and_by_place_when_they_have_it_there()
    {
        // 1 everywhere at place 0; 2 everywhere, moved in the third; 3 in two; 0 is a page of zeros at place 3 of all.
        ClassEquality code = Of(PageClass.KernelCode, Probe([1, 2, 3, 0]), Probe([1, 2, 3, 0]), Probe([1, 4, 2, 0]));
        Assert.Equal((4, 0.25), (code.Pages, code.Zero));
        Assert.Equal(0.75, code.ByContent, 6);
        Assert.Equal(0.50, code.ByPlace, 6);
    }

    [Fact]
    public void Shares_are_means_over_probes_of_different_size()
    {
        ClassEquality code = Of(PageClass.KernelCode, Probe([1, 2]), Probe([1, 2, 3, 4]));
        Assert.Equal((3, 0.75), (code.Pages, code.ByContent));
    }

    [Fact]
    public void A_page_of_another_class_is_not_the_same()
    {
        ProbePages other = Probe([1]) with { Classes = [PageClass.KernelData] };
        ClassEquality code = Of(PageClass.KernelCode, Probe([1]), other);
        Assert.Equal((0.5, 0.0, 0.0), (code.Pages, code.ByContent, code.ByPlace));
    }

    [Fact]
    public void A_page_without_a_place_is_nowhere_the_same()
    {
        ProbePages nowhere = Probe([1]) with { Places = [PageLocations.None] };
        ClassEquality code = Of(PageClass.KernelCode, nowhere, nowhere);
        Assert.Equal((1.0, 0.0), (code.ByContent, code.ByPlace));
    }

    [Fact]
    public void Any_probes_are_compared_as_plain_sets_compare_them()
    {
        var probe = Gen.Choose(0, 4).Select(content => (byte)content).ListOf();
        Prop.ForAll(probe.Three().ToArbitrary(), drawn =>
        {
            byte[][] contents = [[.. drawn.Item1], [.. drawn.Item2], [.. drawn.Item3]];
            ClassEquality code = Of(PageClass.KernelCode, [.. contents.Select(Probe)]);
            double content = contents.Average(own => Share(own, (_, page) => contents.All(other => other.Contains(page))));
            double place = contents.Average(own => Share(own, (at, page) => contents.All(other => at < other.Length && other[at] == page)));
            return Math.Abs(code.ByContent - content) < 1e-9 && Math.Abs(code.ByPlace - place) < 1e-9;
        }).QuickCheckThrowOnFailure();
    }

    private static double Share(byte[] pages, Func<int, byte, bool> equal) => pages.Length == 0 ? 0 : (double)pages.Where((page, at) => equal(at, page)).Count() / pages.Length;

    private static ClassEquality Of(PageClass pageClass, params ProbePages[] probes) => ProbeComparison.Compare(probes).Single(equal => equal.Class == pageClass);

    private static ProbePages Probe(byte[] contents) => new(
        [.. contents.Select(_ => PageClass.KernelCode)],
        [.. contents.Select((_, at) => (ulong)at)],
        [.. contents.Select(content => content == 0 ? PageFingerprint.Zero : new PageFingerprint(content, content))]);
}

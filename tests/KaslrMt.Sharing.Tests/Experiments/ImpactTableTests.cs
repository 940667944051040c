using System.Collections.Immutable;
using KaslrMt.Guests;
using KaslrMt.Layout;

namespace KaslrMt.Sharing.Tests.Experiments;

/// <summary>Table 7 comes out of Tables 1 to 6 as the paper says (section 5.7).</summary>
public sealed class ImpactTableTests
{
    [Fact]
    public void The_papers_shares_give_the_papers_impact()
    {
        // Each class's share for each of the 64 policies, as sections 5.1 to 5.6 have it.
        PolicyEquality[] measured = [.. Policy.All.Select(policy => new PolicyEquality(policy, 8, [.. SharingTable.KernelClasses.Select(pageClass => Equality(pageClass, Share(pageClass, policy)))]))];
        ImmutableArray<Impact> table = ImpactTable.Of(measured, equal => equal.ByContent);
        Assert.Equal(36, table.Length);
        foreach ((Region region, PageClass pageClass) in new[]
        {
            (Region.KernelVirtual, PageClass.KernelCode), (Region.KernelVirtual, PageClass.KernelData), (Region.KernelVirtual, PageClass.ModuleCode),
            (Region.Modules, PageClass.ModuleCode), (Region.Modules, PageClass.ModuleData), (Region.Vmemmap, PageClass.Vmemmap),
        })
        {
            Assert.Equal(PaperFigures.Impact(region, pageClass), table.Single(cell => cell.Region == region && cell.Class == pageClass).Level);
        }

        // 42 % to 30 % is a loss of 28.5 % (section 5.7).
        Assert.Equal(0.286, table.Single(cell => cell is { Region: Region.Modules, Class: PageClass.ModuleData }).Loss, 3);
        Assert.All(table.Where(cell => cell.Region is Region.Physmap or Region.Vmalloc), cell => Assert.Equal(ImpactLevel.None, cell.Level));
    }

    [Theory]
    [InlineData(0.049, ImpactLevel.None)]
    [InlineData(-0.2, ImpactLevel.None)]
    [InlineData(0.05, ImpactLevel.Low)]
    [InlineData(0.149, ImpactLevel.Low)]
    [InlineData(0.15, ImpactLevel.Medium)]
    [InlineData(0.30, ImpactLevel.Medium)]
    [InlineData(0.301, ImpactLevel.High)]
    public void Thresholds_are_the_papers(double loss, ImpactLevel level) => Assert.Equal(level, new Impact(Region.Modules, PageClass.ModuleCode, 1, 1 - loss, loss).Level);

    [Fact]
    public void Only_policies_whose_partner_was_measured_count()
    {
        PolicyEquality Measured(string policy, double share) => new(Policy.Parse(policy), 2, [.. SharingTable.KernelClasses.Select(pageClass => Equality(pageClass, share))]);
        ImmutableArray<Impact> table = ImpactTable.Of([Measured("110010", 0.8), Measured("110000", 0.2), Measured("111111", 1)], equal => equal.ByContent);
        Assert.Equal([Region.KernelVirtual], table.Select(cell => cell.Region).Distinct());
        Assert.All(table, cell => Assert.Equal((0.8, 0.2, 0.75), (cell.Fixed, cell.Random, Math.Round(cell.Loss, 6))));
        Assert.Empty(ImpactTable.Of([Measured("110010", 0.8)], equal => equal.ByPlace));
    }

    [Fact]
    public void The_papers_figures_are_those_of_its_tables()
    {
        Assert.Equal(4, Enum.GetValues<Region>().Sum(region => SharingTable.KernelClasses.Count(pageClass => PaperFigures.Impact(region, pageClass) == ImpactLevel.High)));
        Assert.All(PaperFigures.Equality, figure => Assert.Contains(Policy.All, policy => figure.Holds(policy)));
        Assert.Equal(["off", "stock", "kaslr-mt"], PaperFigures.Curve.Select(curve => curve.Mode));
    }

    private static double Share(PageClass pageClass, Policy policy) =>
        PaperFigures.Equality.Single(figure => figure.Class == pageClass && figure.Holds(policy)).Share;

    private static ClassEquality Equality(PageClass pageClass, double share) => new(pageClass, 100, 0, share, share);
}

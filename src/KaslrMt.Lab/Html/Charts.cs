using System.Text.Json.Serialization;

namespace KaslrMt.Lab.Html;

/// <summary>What a chart of the page shows; the page's script draws it. The same figures are in a table beside it.</summary>
/// <param name="Id">The chart's place in the page.</param>
/// <param name="Label">What it shows, for those who do not see it.</param>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "kind")]
[JsonDerivedType(typeof(LinesChart), "lines")]
[JsonDerivedType(typeof(BarsChart), "bars")]
[JsonDerivedType(typeof(PairsChart), "pairs")]
[JsonDerivedType(typeof(DotsChart), "dots")]
[JsonDerivedType(typeof(SpaceChart), "space")]
internal abstract record Chart(string Id, string Label);

/// <summary>Something that has one colour, one dash and one symbol all over the page.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Style">Its number.</param>
internal sealed record ChartSeries(string Name, int Style);

/// <summary>Lines over a number, with somebody else's points beside them.</summary>
/// <param name="Id">The chart's place in the page.</param>
/// <param name="Label">What it shows, for those who do not see it.</param>
/// <param name="Series">The lines.</param>
/// <param name="Points">Their points.</param>
/// <param name="Others">The others' points: those of one series are joined.</param>
/// <param name="OthersName">Whose they are.</param>
/// <param name="Across">The name of the horizontal axis.</param>
/// <param name="Up">The name of the vertical one, in per cent.</param>
internal sealed record LinesChart(
    string Id, string Label, IReadOnlyList<ChartSeries> Series, IReadOnlyList<LinesChart.Point> Points, IReadOnlyList<LinesChart.Point> Others, string OthersName, string Across, string Up)
    : Chart(Id, Label)
{
    /// <summary>A point of a line.</summary>
    internal sealed record Point(string Series, double X, double Y);
}

/// <summary>Bars in groups, each of one part or more.</summary>
/// <param name="Id">The chart's place in the page.</param>
/// <param name="Label">What it shows, for those who do not see it.</param>
/// <param name="Parts">What the bars are made of.</param>
/// <param name="Bars">The bars, group by group.</param>
/// <param name="Across">The name of the axis.</param>
/// <param name="Most">The axis' end; null for the longest bar.</param>
internal sealed record BarsChart(string Id, string Label, IReadOnlyList<ChartSeries> Parts, IReadOnlyList<BarsChart.Bar> Bars, string Across, double? Most)
    : Chart(Id, Label)
{
    /// <summary>A bar.</summary>
    /// <param name="Group">Its group; empty where there is one only.</param>
    /// <param name="Name">Its own name.</param>
    /// <param name="Values">One for each part that it has, in the order of the parts.</param>
    /// <param name="Part">The first part's number: bars of one part each differ in it.</param>
    /// <param name="Text">What stands at its end.</param>
    internal sealed record Bar(string Group, string Name, IReadOnlyList<double> Values, int Part, string Text);
}

/// <summary>Two figures beside each other in each row, in per cent: what the paper has, and what was measured.</summary>
/// <param name="Id">The chart's place in the page.</param>
/// <param name="Label">What it shows, for those who do not see it.</param>
/// <param name="Rows">The rows.</param>
/// <param name="Left">Whose the first figure is.</param>
/// <param name="Right">Whose the second is.</param>
internal sealed record PairsChart(string Id, string Label, IReadOnlyList<PairsChart.Pair> Rows, string Left, string Right) : Chart(Id, Label)
{
    /// <summary>A row.</summary>
    /// <param name="Group">What belongs together.</param>
    /// <param name="Name">The row's name.</param>
    /// <param name="Low">The first figure, or where its range begins.</param>
    /// <param name="High">The same, or where its range ends.</param>
    /// <param name="Value">The second figure; null where nothing was measured.</param>
    internal sealed record Pair(string Group, string Name, double Low, double High, double? Value);
}

/// <summary>Where named things lie in several boots.</summary>
/// <param name="Id">The chart's place in the page.</param>
/// <param name="Label">What it shows, for those who do not see it.</param>
/// <param name="Boots">The boots.</param>
/// <param name="Names">The things, in their order.</param>
/// <param name="Dots">A dot for each thing and boot.</param>
/// <param name="Across">The name of the axis.</param>
internal sealed record DotsChart(string Id, string Label, IReadOnlyList<ChartSeries> Boots, IReadOnlyList<string> Names, IReadOnlyList<DotsChart.Dot> Dots, string Across)
    : Chart(Id, Label)
{
    /// <summary>One thing in one boot.</summary>
    /// <param name="Name">The thing.</param>
    /// <param name="Boot">The boot.</param>
    /// <param name="Place">Where, in the axis' unit.</param>
    /// <param name="Address">The same as an address.</param>
    internal sealed record Dot(string Name, string Boot, double Place, string Address);
}

/// <summary>A part of the address space: where regions may lie, and where they do in some layouts.</summary>
/// <param name="Id">The chart's place in the page.</param>
/// <param name="Label">What it shows, for those who do not see it.</param>
/// <param name="Lanes">A lane for each VM.</param>
/// <param name="Windows">Where each region's base may lie.</param>
/// <param name="Boxes">Where the regions lie.</param>
/// <param name="Across">The name of the axis.</param>
/// <param name="From">Where the axis begins, in its unit.</param>
/// <param name="To">Where it ends.</param>
internal sealed record SpaceChart(
    string Id, string Label, IReadOnlyList<string> Lanes, IReadOnlyList<SpaceChart.Window> Windows, IReadOnlyList<SpaceChart.Box> Boxes, string Across, double From, double To)
    : Chart(Id, Label)
{
    /// <summary>Where a region's base may lie.</summary>
    internal sealed record Window(string Region, double From, double To);

    /// <summary>A region of a VM.</summary>
    /// <param name="Lane">Which VM's.</param>
    /// <param name="Region">Which region.</param>
    /// <param name="From">Where it begins.</param>
    /// <param name="To">Where it ends.</param>
    /// <param name="Shared">Whether all of the tenant's VMs have it there.</param>
    /// <param name="Base">Its base as an address.</param>
    internal sealed record Box(string Lane, string Region, double From, double To, bool Shared, string Base);
}

/// <summary>Writes a page's data. Its encoder escapes <c>&lt;</c>, <c>&gt;</c>, <c>&amp;</c>, quotes and all that is not ASCII, so that no text ends the element it stands in.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(IReadOnlyList<Chart>))]
internal sealed partial class ChartJson : JsonSerializerContext;

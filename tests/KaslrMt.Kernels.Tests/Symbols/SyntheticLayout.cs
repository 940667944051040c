namespace KaslrMt.Kernels.Tests.Symbols;

/// <summary>A table layout to make up: one for each that kernels have had.</summary>
internal sealed record SyntheticLayout(string Kernels, KallsymsOrder Order, KallsymsAddressing Addressing, bool Sequences, int Alignment)
{
    public static readonly SyntheticLayout[] All =
    [
        new("5.x", KallsymsOrder.OffsetsFirst, KallsymsAddressing.AbsolutePerCpu, false, 8),
        new("5.x on one processor", KallsymsOrder.OffsetsFirst, KallsymsAddressing.BaseRelative, false, 8),
        new("6.2", KallsymsOrder.OffsetsFirst, KallsymsAddressing.AbsolutePerCpu, true, 8),
        new("6.4", KallsymsOrder.NamesFirst, KallsymsAddressing.AbsolutePerCpu, true, 8),
        new("6.15", KallsymsOrder.NamesFirst, KallsymsAddressing.BaseRelative, true, 8),
        new("7.0", KallsymsOrder.NamesFirst, KallsymsAddressing.PlaceRelative, true, 4),
        new("7.0 aligned to 8", KallsymsOrder.NamesFirst, KallsymsAddressing.PlaceRelative, true, 8),
    ];

    public static TheoryData<string> Names => new(All.Select(layout => layout.Kernels));

    public static SyntheticLayout Of(string kernels) => All.Single(layout => layout.Kernels == kernels);
}

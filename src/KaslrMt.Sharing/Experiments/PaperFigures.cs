using System.Collections.Immutable;
using KaslrMt.Guests;
using KaslrMt.Layout;

namespace KaslrMt.Sharing;

/// <summary>The paper's figures, measured there on Ubuntu 19.04 with Linux 5.0.6, to be shown beside ours. Shares are 0 to 1.</summary>
public static class PaperFigures
{
    private const ImpactLevel None = ImpactLevel.None, Low = ImpactLevel.Low, Medium = ImpactLevel.Medium, High = ImpactLevel.High;

    /// <summary>What sections 5.1 to 5.6 say in words of Tables 1 to 6.</summary>
    public static ImmutableArray<PaperEquality> Equality { get; } =
    [
        new(PageClass.KernelCode, "kernel virtual kept", policy => Keeps(policy, Region.KernelVirtual), 1.00, "100"),
        new(PageClass.KernelCode, "kernel virtual random", policy => !Keeps(policy, Region.KernelVirtual), 0.026, "2.6"),
        new(PageClass.KernelData, "kernel virtual kept", policy => Keeps(policy, Region.KernelVirtual), 0.80, "80"),
        new(PageClass.KernelData, "kernel virtual random", policy => !Keeps(policy, Region.KernelVirtual), 0.64, "64"),
        new(PageClass.ModuleCode, "kernel virtual and modules kept", policy => Keeps(policy, Region.KernelVirtual) && Keeps(policy, Region.Modules), 0.275, "25-30"),
        new(PageClass.ModuleCode, "one of them random, or both", policy => !(Keeps(policy, Region.KernelVirtual) && Keeps(policy, Region.Modules)), 0.12, "11-12"),
        new(PageClass.ModuleData, "modules kept", policy => Keeps(policy, Region.Modules), 0.42, "42"),
        new(PageClass.ModuleData, "modules random", policy => !Keeps(policy, Region.Modules), 0.30, "30"),
        new(PageClass.Vmalloc, "all", _ => true, 0.03, "3"),
        new(PageClass.Vmemmap, "vmemmap kept", policy => Keeps(policy, Region.Vmemmap), 0.38, "38"),
        new(PageClass.Vmemmap, "vmemmap random", policy => !Keeps(policy, Region.Vmemmap), 0, "0"),
    ];

    /// <summary>Figure 4 in words (section 8.1): redundant kernel memory of 2 and 30 guests with KASLR off, stock KASLR and KASLR-MT.</summary>
    public static ImmutableArray<PaperCurve> Curve { get; } = [new("off", 0.4509, 0.70), new("stock", 0.2765, 0.35), new("kaslr-mt", 0.4402, 0.67)];

    /// <summary>Table 7.</summary>
    public static ImpactLevel Impact(Region region, PageClass pageClass) => (region, pageClass) switch
    {
        (Region.KernelPhysical, PageClass.Vmemmap) => Low,
        (Region.KernelVirtual, PageClass.KernelCode or PageClass.ModuleCode) => High,
        (Region.KernelVirtual, PageClass.KernelData) => Medium,
        (Region.KernelVirtual, PageClass.ModuleData) => Low,
        (Region.Vmemmap, PageClass.Vmemmap) => High,
        (Region.Modules, PageClass.ModuleCode) => High,
        (Region.Modules, PageClass.ModuleData) => Medium,
        _ => None,
    };

    private static bool Keeps(Policy policy, Region region) => policy.ScopeOf(region) == Scope.PerTenant;
}

/// <summary>A mean over some of the paper's 64 combinations.</summary>
/// <param name="Class">The pages.</param>
/// <param name="Condition">Which combinations, in words.</param>
/// <param name="Holds">The same for a policy.</param>
/// <param name="Share">The share of equal pages, 0 to 1; the middle where the paper gives a range.</param>
/// <param name="Text">In per cent, as the paper has it.</param>
public sealed record PaperEquality(PageClass Class, string Condition, Func<Policy, bool> Holds, double Share, string Text);

/// <summary>Two points of a curve of Figure 4.</summary>
/// <param name="Mode">Whose curve.</param>
/// <param name="Two">The redundant share with 2 guests.</param>
/// <param name="Thirty">With 30.</param>
public sealed record PaperCurve(string Mode, double Two, double Thirty);

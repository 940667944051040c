using KaslrMt.Guests;
using KaslrMt.Layout;

namespace KaslrMt.Cli.Guests;

/// <summary>What <c>modules</c> found: one guest or two.</summary>
internal sealed record ModulesReport(IReadOnlyList<ModulesReport.GuestModuleList> Guests, ModulesReport.Compared? Comparison)
{
    /// <summary>Whether all lists were read whole.</summary>
    internal bool IsComplete => Guests.All(guest => guest.Problem is null);

    public static ModulesReport Of(IReadOnlyList<(string Label, string Release, GuestModules Modules)> guests) => new(
        [.. guests.Select(guest => Of(guest.Label, guest.Release, guest.Modules))],
        guests.Count == 2 ? Of(ModuleComparison.Of(guests[0].Modules, guests[1].Modules)) : null);

    private static GuestModuleList Of(string label, string release, GuestModules modules) => new(
        label,
        release,
        modules.Problem,
        [.. modules.InLoadOrder.Select((module, index) => new LoadedModule(
            index + 1,
            module.Name,
            module.State.Name(),
            module.Address?.ToString(),
            module.Size,
            module.TaintLetters(),
            [.. module.Areas.Select(area => new ModuleSectionArea(area.Section.Name(), area.Address.ToString(), area.Size))]))]);

    private static Compared Of(ModuleComparison comparison) => new(
        comparison.Common,
        comparison.SameAddress,
        comparison.FirstDifference is null,
        comparison.FirstDifference,
        [.. comparison.Rows.Select(row => new ComparedModule(
            row.Name,
            row.First?.Index + 1,
            row.First?.Module.Address?.ToString(),
            row.Second?.Index + 1,
            row.Second?.Module.Address?.ToString(),
            row.HasSameAddress))]);

    /// <summary>A guest's modules in load order. A problem says why some are missing.</summary>
    internal sealed record GuestModuleList(string Name, string Release, string? Problem, IReadOnlyList<LoadedModule> Modules);

    /// <summary>A module; its position counts from 1.</summary>
    internal sealed record LoadedModule(int Position, string Name, string State, string? Address, ulong Size, string Taints, IReadOnlyList<ModuleSectionArea> Areas);

    /// <summary>A group of a module's sections.</summary>
    internal sealed record ModuleSectionArea(string Section, string Address, ulong Size);

    /// <summary>Two guests' modules. The first difference is the first guest's first module that the second loaded in another place among those that both have.</summary>
    internal sealed record Compared(int Common, int SameAddress, bool SameOrder, string? FirstDifference, IReadOnlyList<ComparedModule> Modules);

    /// <summary>A module of either guest.</summary>
    internal sealed record ComparedModule(string Name, int? FirstPosition, string? FirstAddress, int? SecondPosition, string? SecondAddress, bool SameAddress);
}

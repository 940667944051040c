using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Layout;
using KaslrMt.Vms;

namespace KaslrMt.Lab.Experiments;

/// <summary>One way to run the guests of <c>experiment curve</c>: who chooses their layout, and what else the host does for sharing.</summary>
/// <param name="Layout">Who chooses the layout.</param>
/// <param name="SharesPhysical">With ours: whether the kernel's physical base is the tenant's too, whatever the policy says.</param>
/// <param name="SharesPhysmap">With ours: whether the direct map's base is, too.</param>
/// <param name="Tenants">With ours: how many tenants take turns in owning the guests.</param>
/// <param name="Modules">With ours: how the kernel places modules.</param>
/// <param name="FreePages">What guests' free pages hold.</param>
/// <param name="Traced">Whether guests make their tracing files at boot, as the kernel comes.</param>
internal sealed record CurveMode(
    ExperimentMode Layout, bool SharesPhysical = false, bool SharesPhysmap = false, int Tenants = 1, ModuleAddresses Modules = ModuleAddresses.ByOrder, FreePages FreePages = FreePages.Kept, bool Traced = true)
{
    // Until Linux 6.6 the kernel makes directories and files of all trace events when it boots, thousands of small objects that differ in each
    // guest (tracer_init_tracefs in kernel/trace/trace.c). Documentation/admin-guide/kernel-parameters.txt: initcall_blacklist.
    private const string WithoutTracing = "initcall_blacklist=tracer_init_tracefs";

    private const string TwoTenants = "two-tenants";
    private const string Usual = "off, stock, kaslr-mt, kaslr-mt-physical, kaslr-mt-physmap or two-tenants";

    /// <summary>All, in the order in which they are measured.</summary>
    public static IReadOnlyList<CurveMode> All { get; } = [.. Layouts().SelectMany(Variants)];

    /// <summary>Those that are measured unless others are named.</summary>
    public static IReadOnlyList<CurveMode> Standard { get; } =
        Parse(["off", "off-zeroed", "stock", "kaslr-mt", "kaslr-mt-physical", "kaslr-mt-by-name-zeroed", "kaslr-mt-physical-by-name-zeroed", "kaslr-mt-physmap-by-name-zeroed"]);

    /// <summary>The name in reports, options and file names: letters and dashes.</summary>
    public string Name =>
        (Tenants > 1 ? TwoTenants : Layout.Name() + (SharesPhysmap ? "-physmap" : SharesPhysical ? "-physical" : ""))
        + (Modules == ModuleAddresses.ByName ? "-by-name" : "")
        + (FreePages == FreePages.Zeroed ? "-zeroed" : "")
        + (Traced ? "" : "-notrace");

    /// <summary>What people read.</summary>
    public string Label => string.Join(", ", new[]
    {
        Layout switch { ExperimentMode.Off => "KASLR off", ExperimentMode.Stock => "stock KASLR", _ => Tenants > 1 ? "two tenants' layouts" : "one tenant's layout" },
        SharesPhysmap ? "physical base and physmap too" : SharesPhysical ? "physical base too" : "",
        Modules == ModuleAddresses.ByName ? "modules by name" : "",
        FreePages == FreePages.Zeroed ? "free pages zeroed" : "",
        Traced ? "" : "no trace files",
    }.Where(part => part.Length > 0));

    /// <summary>The modes of some names, in the order in which they are measured; the usual ones of none.</summary>
    /// <exception cref="KaslrMtException">KMT9001: a name is unknown.</exception>
    public static IReadOnlyList<CurveMode> Parse(IReadOnlyCollection<string> names)
    {
        string? unknown = names.FirstOrDefault(name => All.All(mode => mode.Name != name));
        return unknown is not null
            ? throw new KaslrMtException(
                CoreErrors.Usage,
                $"--mode '{Printable.Of(unknown, 60)}' is unknown",
                $"give {Usual}, behind ours -by-name, behind any -zeroed and -notrace, in this order")
            : names.Count == 0 ? Standard : [.. All.Where(mode => names.Contains(mode.Name))];
    }

    /// <summary>The policy of its guests; null where the layout is not ours.</summary>
    /// <param name="chosen">The experiment's.</param>
    public Policy? PolicyOf(Policy chosen)
    {
        char[] digits = chosen.ToString().ToCharArray();
        digits[^1] = SharesPhysical ? '1' : digits[^1];
        digits[^3] = SharesPhysmap ? '1' : digits[^3];
        return Layout == ExperimentMode.KaslrMt ? Policy.Parse(digits) : null;
    }

    /// <summary>What its guests are made of.</summary>
    /// <param name="recipe">The experiment's.</param>
    /// <exception cref="KaslrMtException">KMT9001 when the recipe's command line contradicts it.</exception>
    public GuestRecipe Recipe(GuestRecipe recipe)
    {
        using GuestCommandLine line = GuestCommandLine.Parse(recipe.CommandLine);
        string words = FreePagesSetting.Complete(line, FreePages);
        return recipe with { CommandLine = Traced ? words : $"{WithoutTracing} {words}", Modules = Modules };
    }

    private static IEnumerable<CurveMode> Layouts()
    {
        yield return new CurveMode(ExperimentMode.Off);
        yield return new CurveMode(ExperimentMode.Stock);
        foreach (ModuleAddresses modules in (ModuleAddresses[])[ModuleAddresses.ByOrder, ModuleAddresses.ByName])
        {
            yield return new CurveMode(ExperimentMode.KaslrMt, Modules: modules);
            yield return new CurveMode(ExperimentMode.KaslrMt, SharesPhysical: true, Modules: modules);
            yield return new CurveMode(ExperimentMode.KaslrMt, SharesPhysical: true, SharesPhysmap: true, Modules: modules);
            yield return new CurveMode(ExperimentMode.KaslrMt, Tenants: 2, Modules: modules);
        }
    }

    private static IEnumerable<CurveMode> Variants(CurveMode mode) =>
        [mode, mode with { FreePages = FreePages.Zeroed }, mode with { Traced = false }, mode with { FreePages = FreePages.Zeroed, Traced = false }];
}

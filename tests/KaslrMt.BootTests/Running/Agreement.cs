using KaslrMt.Cli.Vms;
using KaslrMt.Layout;

namespace KaslrMt.BootTests.Running;

/// <summary>The heart of the proof: planned = given to the VM = what the guest says itself = what its memory shows from outside.</summary>
internal static class Agreement
{
    /// <summary>Boots a guest, compares all views of its six bases and looks for complaints of its kernel.</summary>
    internal static async Task<IReadOnlyDictionary<Region, ulong>> BootAndCheckAsync(Scratch scratch, GuestPlan plan, Action<TestGuest, GuestView>? further = null)
    {
        await using TestGuest guest = await TestGuest.StartAsync(scratch, plan);
        IReadOnlyDictionary<Region, ulong> bases = await CheckAsync(guest, plan);
        further?.Invoke(guest, guest.View());
        return bases;
    }

    /// <summary>Compares all views of a running guest's six bases.</summary>
    /// <returns>The bases.</returns>
    internal static async Task<IReadOnlyDictionary<Region, ulong>> CheckAsync(TestGuest guest, GuestPlan plan)
    {
        GuestView view = guest.View();
        IReadOnlyDictionary<Region, ulong> planned = guest.Planned();
        LayoutVerification observed = await guest.ObserveAsync();
        string what = $"{plan}\n{guest.Console}\n{guest.Log}";

        foreach (LayoutVerification.Row row in observed.Regions)
        {
            Same(planned[row.Region], row.Intended, $"{row.Region} given", what);
            Same(planned[row.Region], row.Observed, $"{row.Region} in memory", what);
        }

        Same(planned[Region.KernelVirtual], view.Text, "kernel-virtual in the guest", what);
        Same(planned[Region.KernelPhysical], view.Code, "kernel-physical in the guest", what);
        Same(planned[Region.Physmap], view.Physmap, "physmap in the guest", what);
        Same(planned[Region.Vmalloc], view.Vmalloc, "vmalloc in the guest", what);
        Same(planned[Region.Vmemmap], view.Vmemmap, "vmemmap in the guest", what);
        Same(planned[Region.Modules], view.Module, "modules in the guest", what);
        Assert.True(view.ModulesAfterUnload == 0, what);
        Same(view.Module, view.ReloadedModule, "module loaded again", what);
        Assert.True(view.Cpus == plan.Cpus, what);
        Assert.True(view.Troubles.Count == 0, what);
        Assert.DoesNotContain("WARNING", guest.Log, StringComparison.Ordinal);
        return planned;
    }

    private static void Same(ulong expected, ulong? found, string name, string what) =>
        Assert.True(expected == found, $"{name}: expected 0x{expected:x16}, found {(found is ulong value ? $"0x{value:x16}" : "nothing")}; {what}");
}

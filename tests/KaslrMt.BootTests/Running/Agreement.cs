using KaslrMt.Layout;
using KaslrMt.Vms;

namespace KaslrMt.BootTests.Running;

/// <summary>The heart of the proof: planned = given to the VM = what the guest says itself = what its memory shows from outside.</summary>
internal static class Agreement
{
    /// <summary>Boots a guest, compares all views of its six bases and looks for complaints of its kernel.</summary>
    internal static async Task<IReadOnlyDictionary<Region, ulong>> BootAndCheckAsync(HostFolder scratch, GuestPlan plan, Action<TestGuest, GuestView>? further = null)
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

        foreach (VerifiedRegion row in observed.Regions)
        {
            Same(planned[row.Region], row.Intended, $"{row.Region} given", what);

            // Under nokaslr, kernels before 6.10 have a module offset of 0, which is also the one not drawn yet.
            bool mayBeUndrawn = row.Region == Region.Modules && guest.Intended.Link && row.Observed is null;
            Same(planned[row.Region], mayBeUndrawn ? planned[row.Region] : row.Observed, $"{row.Region} in memory", what);
        }

        CheckView(planned, view, what);
        Assert.True(view.Cpus == plan.CpusFound, what);
        Assert.True(view.Troubles.Count == 0, what);
        Assert.DoesNotContain("WARNING", guest.Log, StringComparison.Ordinal);
        return planned;
    }

    /// <summary>Compares what a guest says with its bases.</summary>
    internal static void CheckView(IReadOnlyDictionary<Region, ulong> planned, GuestView view, string what)
    {
        Same(planned[Region.KernelVirtual], view.Text, "kernel-virtual in the guest", what);
        Same(planned[Region.KernelPhysical], view.Code, "kernel-physical in the guest", what);
        Same(planned[Region.Physmap], view.Physmap, "physmap in the guest", what);
        Same(planned[Region.Vmalloc], view.Vmalloc, "vmalloc in the guest", what);
        Same(planned[Region.Vmemmap], view.Vmemmap, "vmemmap in the guest", what);
        Same(planned[Region.Modules], view.FirstModuleArea, "modules in the guest", what);

        // Not at the very base: the kernel's BPF comes first, and kernels from 6.16 on align modules to large pages.
        Assert.True(view.Module >= planned[Region.Modules] && view.ReloadedModule >= planned[Region.Modules], what);
        Assert.True(view.ModulesAfterUnload == 0, what);
    }

    private static void Same(ulong expected, ulong? found, string name, string what) =>
        Assert.True(expected == found, $"{name}: expected 0x{expected:x16}, found {(found is ulong value ? $"0x{value:x16}" : "nothing")}; {what}");
}

using System.Globalization;
using KaslrMt.Cli.Sharing;
using KaslrMt.Guests;
using KaslrMt.Lab.Experiments;
using KaslrMt.Sharing;

namespace KaslrMt.Lab.Demo;

/// <summary>What pairs of VMs of one kernel share: of one tenant, of two tenants, with the kernel's own KASLR, and without any.</summary>
/// <remarks>
/// All boot the same files and have settled. KSM merges a pair with no other VM beside it: pages that it shares with a third one would count for less.
/// </remarks>
/// <param name="kernel">The kernel.</param>
/// <param name="initramfs">The guests' initramfs.</param>
/// <param name="host">What they run on.</param>
/// <param name="ksm">The host's KSM and its settings, borrowed; null to leave it alone.</param>
internal sealed class DemoSharing(DemoKernel kernel, string initramfs, ExperimentHost host, (KsmFolder Folder, KsmSettingsLease Loan)? ksm)
{
    private static readonly TimeSpan KsmLimit = TimeSpan.FromMinutes(1);

    // Its init has run; what is freed after it (init sections, RCU callbacks) is given time to be.
    private static readonly TimeSpan SettleTime = TimeSpan.FromSeconds(1);

    /// <summary>Borrows the host's KSM.</summary>
    /// <param name="reason">Why it cannot be had.</param>
    /// <returns>Null where the host has none, or does not let this user, or somebody else has borrowed it.</returns>
    public static (KsmFolder Folder, KsmSettingsLease Loan)? BorrowKsm(out string? reason)
    {
        try
        {
            KsmFolder folder = KsmCommand.Open();
            reason = null;
            return (folder, KsmSettingsLease.Take(folder, KsmCommand.LoanNote));
        }
        catch (KaslrMtException error)
        {
            reason = error.Problem;
            return null;
        }
    }

    /// <summary>Compares the VMs that run, and ends them: the second tenant's first, so that KSM has the first tenant's pair to itself.</summary>
    /// <param name="first">The first tenant's.</param>
    /// <param name="second">The second tenant's.</param>
    /// <param name="files">Bytes of files in memory that the first tenant's VMs needed.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="KaslrMtException">Errors of the guests' memory, the monitor, and KSM.</exception>
    public async Task<IReadOnlyList<DemoReport.PairRow>> CompareTenantsAsync(IReadOnlyList<DemoVm> first, IReadOnlyList<DemoVm> second, long files, CancellationToken cancellationToken)
    {
        await Task.Delay(SettleTime, cancellationToken).ConfigureAwait(false);

        // Of our own process what supervising takes, not what comparing pages takes: an agent does the former only.
        long program = ProcessMemory.PssOf(Environment.ProcessId);
        ProbePages one = await first[0].ReadPagesAsync(cancellationToken).ConfigureAwait(false), two = await first[1].ReadPagesAsync(cancellationToken).ConfigureAwait(false);
        DemoReport.PairRow across = Row(DemoReport.TwoTenants, [one, await second[0].ReadPagesAsync(cancellationToken).ConfigureAwait(false)], default);
        await Task.WhenAll(second.Select(vm => vm.DisposeAsync().AsTask())).ConfigureAwait(false);
        DemoReport.PairRow within = Row(DemoReport.OneTenant, [one, two], await MergeAsync([.. first.Select(vm => vm.ProcessId)], files, program, cancellationToken).ConfigureAwait(false));
        await Task.WhenAll(first.Select(vm => vm.DisposeAsync().AsTask())).ConfigureAwait(false);
        return [within, across];
    }

    /// <summary>Boots two VMs that nobody gave a layout, compares them, and ends them.</summary>
    /// <param name="layout">The kernel's own KASLR, or none.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="KaslrMtException">KMT6026 when one does not boot; errors of the guests' memory, the monitor, and KSM.</exception>
    public async Task<DemoReport.PairRow> CompareAsync(GuestLayout layout, CancellationToken cancellationToken)
    {
        GuestRecipe recipe = DemoVm.RecipeOf(kernel, initramfs);
        List<ExperimentGuest> guests = [];
        try
        {
            List<ProbePages> pages = [];
            foreach (int number in (int[])[1, 2])
            {
                string label = string.Create(CultureInfo.InvariantCulture, $"{kernel.Name.Replace('.', '-')}-{layout.Mode.Name()}-{number}");
                guests.Add(await ExperimentGuest.BootAsync(recipe, layout, label, host, cancellationToken).ConfigureAwait(false));
            }

            foreach (ExperimentGuest guest in guests)
            {
                await guest.PauseAsync(cancellationToken).ConfigureAwait(false);
                pages.Add(ProbePages.ReadKernel(await guest.OpenKernelAsync(cancellationToken).ConfigureAwait(false)));
            }

            string name = layout.Mode == ExperimentMode.Off ? DemoReport.Off : DemoReport.Stock;
            return Row(name, pages, await MergeAsync([.. guests.Select(guest => guest.ProcessId)], 0, 0, cancellationToken).ConfigureAwait(false));
        }
        finally
        {
            await Task.WhenAll(guests.Select(guest => guest.DisposeAsync().AsTask())).ConfigureAwait(false);
        }
    }

    private static DemoReport.PairRow Row(string vms, IReadOnlyList<ProbePages> pages, (KsmMeasurement? Ksm, HostCost? Cost) merged)
    {
        IReadOnlyList<ClassEquality> classes = ProbeComparison.Compare(pages);
        double Share(params PageClass[] wanted)
        {
            ClassEquality[] rows = [.. classes.Where(row => wanted.Contains(row.Class))];
            double all = rows.Sum(row => row.Pages);
            return all > 0 ? Math.Round(rows.Sum(row => row.Pages * row.ByContent) / all, 4) : 0;
        }

        return new DemoReport.PairRow(
            vms,
            Share(PageClass.KernelCode),
            Share(PageClass.KernelData),
            Share(PageClass.ModuleCode, PageClass.ModuleData),
            Share(PageClass.Vmemmap),
            Share([.. SharingTable.KernelClasses]),
            merged.Ksm?.Before.Resident,
            merged.Ksm?.After.Proportional,
            merged.Cost);
    }

    private async Task<(KsmMeasurement?, HostCost?)> MergeAsync(IReadOnlyCollection<int> processes, long files, long program, CancellationToken cancellationToken)
    {
        if (ksm is not var (kernelFolder, loan))
        {
            return default;
        }

        KsmMeasurement merged = await KsmMeasurement.RunAsync(kernelFolder, loan, processes, KsmLimit, null, cancellationToken).ConfigureAwait(false);
        return (merged, HostCost.Read(processes, files, program));
    }
}

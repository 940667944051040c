using System.Globalization;
using KaslrMt.Cli.Output;

namespace KaslrMt.Lab.Demo;

/// <summary>Shows the demonstration's outcome: one table a kernel for what is shared, one for how long it took.</summary>
internal static class DemoTable
{
    /// <summary>Whether every base is as intended from all sides, and shared within a tenant, among its VMs alone, just where it must be.</summary>
    public static bool PromiseHolds(IReadOnlyList<DemoReport.VmRow> vms) =>
        vms.All(vm => vm.Regions.All(region => region.Agrees))
        && Enumerable.Range(0, vms[0].Regions.Count).All(i => vms.GroupBy(vm => vm.Tenant).All(tenant =>
            Distinct(tenant, i) == (IsPerTenant(vms, i) ? 1 : tenant.Count())))
        && Enumerable.Range(0, vms[0].Regions.Count).Where(i => IsPerTenant(vms, i)).Any(i => Distinct(vms, i) > 1);

    /// <summary>Prints the report.</summary>
    public static void Print(TextWriter output, DemoReport report)
    {
        foreach (DemoReport.KernelRow kernel in report.Kernels)
        {
            output.WriteLine();
            output.WriteLine($"{kernel.Release}, policy {kernel.Policy}: two tenants, two VMs each");
            Report.Print(output, Bases(kernel));
            output.WriteLine(kernel.Ok
                ? "intended = seen by the guest itself = read from its memory, for every base above"
                : "MISMATCH: see the rows marked DIFFERS");
        }

        output.WriteLine();
        output.WriteLine("How long each step took, in ms, on");
        output.WriteLine(report.Accelerator);
        Report.Print(output, Steps(report));
        PrintSharing(output, report);
    }

    private static void PrintSharing(TextWriter output, DemoReport report)
    {
        bool merged = report.KsmUnused is null;
        output.WriteLine();
        output.WriteLine("What two VMs share: a VM's pages that the other has too, in %, by what they hold" + (merged ? ";" : ""));
        output.WriteLine(merged ? "and in MiB for both, once KSM has merged what it can: held for their RAM," : $"(memory held after merging is not shown: {report.KsmUnused})");
        if (merged)
        {
            output.WriteLine("and in all, with QEMU, files in memory and this program");
        }

        string[] columns = ["kernel", "two VMs", ">code", ">data", ">modules", ">vmemmap", ">kernel's"];
        Table table = Report.Table(merged ? [.. columns, ">held", ">in all"] : columns);
        foreach (DemoReport.KernelRow kernel in report.Kernels)
        {
            string name = kernel.Name;
            foreach (DemoReport.PairRow pair in kernel.Pairs)
            {
                string[] row = [name, pair.Vms, Percent(pair.KernelCode), Percent(pair.KernelData), Percent(pair.Modules), Percent(pair.Vmemmap), Percent(pair.Kernel)];
                table.Row(merged ? [.. row, pair.HeldBytes is long bytes ? Mebibytes(bytes) : "-", pair.Cost is { } cost ? Mebibytes(cost.Total) : "-"] : row);
                name = "";
            }
        }

        Report.Print(output, table);
        foreach (DemoReport.KernelRow kernel in report.Kernels)
        {
            DemoReport.PairRow Of(string vms) => kernel.Pairs.First(pair => pair.Vms == vms);
            (DemoReport.PairRow ours, DemoReport.PairRow stock, DemoReport.PairRow off) = (Of(DemoReport.OneTenant), Of(DemoReport.Stock), Of(DemoReport.Off));
            if (ours.Cost is { } cost && stock.Cost is { } stockCost && off.Cost is { } offCost)
            {
                output.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{kernel.Name}: RAM held: one tenant's {Ratio(ours.HeldBytes, stock.HeldBytes)} x of stock KASLR's, {Ratio(ours.HeldBytes, off.HeldBytes)} x of no KASLR's"));
                output.WriteLine($"{kernel.Name}: a VM all in: {Mebibytes(cost.PerVm)} MiB; stock KASLR {Mebibytes(stockCost.PerVm)}, none {Mebibytes(offCost.PerVm)} (without TCG's code)");
            }
        }
    }

    private static Table Bases(DemoReport.KernelRow kernel)
    {
        Table table = Report.Table("region", "tenant", "VM 1", "VM 2", "in tenant", "");
        for (int i = 0; i < kernel.Vms[0].Regions.Count; i++)
        {
            string region = kernel.Vms[0].Regions[i].Region;
            foreach (IGrouping<string, DemoReport.VmRow> tenant in kernel.Vms.GroupBy(vm => vm.Tenant))
            {
                DemoReport.BaseRow[] bases = [.. tenant.Select(vm => vm.Regions[i])];
                string relation = bases[0].Intended == bases[1].Intended ? "shared" : "own";
                table.Row(region, tenant.Key, bases[0].Intended, bases[1].Intended, relation, bases.All(row => row.Agrees) ? "ok" : "DIFFERS");
                region = "";
            }
        }

        string label = "dummy.ko at";
        foreach (IGrouping<string, DemoReport.VmRow> tenant in kernel.Vms.GroupBy(vm => vm.Tenant))
        {
            string[] addresses = [.. tenant.Select(vm => vm.ModuleAddress ?? "-")];
            table.Row(label, tenant.Key, addresses[0], addresses[1], addresses[0] == addresses[1] ? "shared" : "own", "");
            label = "";
        }

        return table;
    }

    private static Table Steps(DemoReport report)
    {
        Table table = Report.Table("kernel", "VM", ">image", "", ">QEMU start", ">boot", ">read memory");
        foreach (DemoReport.KernelRow kernel in report.Kernels)
        {
            foreach (DemoReport.VmRow vm in kernel.Vms)
            {
                DemoReport.StepTimes times = vm.Milliseconds;
                table.Row(
                    kernel.Name,
                    $"{vm.Tenant} {vm.Name}",
                    Number(times.Image),
                    times.ImageCached ? "from cache" : "",
                    Number(times.Start),
                    Number(times.Boot),
                    Number(times.Observe));
            }
        }

        return table;
    }

    private static bool IsPerTenant(IReadOnlyList<DemoReport.VmRow> vms, int region) => vms[0].Regions[region].Scope == "per-tenant";

    private static int Distinct(IEnumerable<DemoReport.VmRow> vms, int region) => vms.Select(vm => vm.Regions[region].Intended).Distinct().Count();

    private static string Percent(double share) => (share * 100).ToString("0.0", CultureInfo.InvariantCulture);

    private static string Mebibytes(long bytes) => (bytes / (double)ByteSize.MiB).ToString("0.0", CultureInfo.InvariantCulture);

    private static string Ratio(long? bytes, long? baseline) => bytes is long held && baseline is > 0 and long all ? (held / (double)all).ToString("0.00", CultureInfo.InvariantCulture) : "?";

    private static string Number(double milliseconds) => milliseconds.ToString("N0", CultureInfo.InvariantCulture);
}

using System.Globalization;
using KaslrMt.Cli.Output;
using KaslrMt.Tenants;

namespace KaslrMt.Cli.Tables;

/// <summary>Reads VMs from the table and prints them.</summary>
internal static class TableListing
{
    /// <summary>A tenant's VMs, or all, on whatever host.</summary>
    public static async Task<IReadOnlyList<TableVmReport>> VmsAsync(TenantTable table, string? tenant, CancellationToken cancellationToken)
    {
        Dictionary<string, string> hosts = (await table.Store.HostsAsync(cancellationToken).ConfigureAwait(false)).ToDictionary(host => host.Id, host => host.Name);
        List<TableVmReport> vms = [];
        await foreach (VmView view in table.VmsAsync(tenant, cancellationToken).ConfigureAwait(false))
        {
            vms.Add(TableVmReport.Of(view, hosts));
        }

        return vms;
    }

    /// <summary>Prints them, and below what is in doubt.</summary>
    public static void Print(TextWriter output, IReadOnlyList<TableVmReport> vms)
    {
        if (vms.Count == 0)
        {
            output.WriteLine("no VM");
            return;
        }

        Table table = Report.Table("~name", "~tenant", "state", "~host", ">gen", "policy", "~kernel", ">age");
        foreach (TableVmReport vm in vms)
        {
            string generation = vm.Generation.ToString(CultureInfo.InvariantCulture);
            table.Row(
                vm.Name,
                vm.Tenant,
                vm.InDoubt is null ? vm.State : "in doubt",
                vm.HostName,
                vm.OlderKey ? $"{generation}!" : generation,
                vm.Policy,
                vm.Release ?? "-",
                Age.Of(vm.Started));
        }

        Report.Print(output, table);
        foreach (TableVmReport vm in vms.Where(vm => vm.InDoubt is not null))
        {
            Paragraph.Print(output, $"{vm.Name}: ", Printable.Of(vm.InDoubt!), ReportWriter.ColumnsOf(output));
        }

        if (vms.Any(vm => vm.OlderKey))
        {
            Paragraph.Print(output, "", "! started under another key than its tenant has now: stop it and run it anew", ReportWriter.ColumnsOf(output));
        }
    }
}

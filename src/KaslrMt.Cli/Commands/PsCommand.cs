using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Tables;
using KaslrMt.Cli.Vms;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt ps</c>: the running VMs of this user, or those that the tenant table knows.</summary>
internal static class PsCommand
{
    public static Command Create()
    {
        Option<bool> json = CommonOptions.Json(), watch = Watching.Create();
        var all = new Option<bool>("--all", "-a") { Description = "All VMs that the tenant table knows, on all its hosts" };
        var tenant = new Option<string?>("--tenant") { Description = "A tenant's VMs in the tenant table, on all its hosts", HelpName = "NAME" };
        tenant.NotEmpty();
        Option<string?> store = StoreOption.Create();
        var command = new Command("ps", "List running VMs, and clean up after owners that were killed") { tenant, all, store, watch, json };
        command.SetAction((parsed, cancellationToken) =>
        {
            TableSettings settings = StoreOption.Read(parsed, store);
            TextWriter output = parsed.InvocationConfiguration.Output, error = parsed.InvocationConfiguration.Error;
            string? wanted = parsed.GetValue(tenant) is { } name ? TableNames.Check(name, "tenant") : null;
            bool fromTable = wanted is not null || parsed.GetValue(all);
            return Watching.RunAsync(output, parsed.GetValue(watch), fromTable ? FromTableAsync : HereAsync, cancellationToken);

            async Task FromTableAsync()
            {
                await using TenantTable table = await CommandTable.ForCommandAsync(settings, error, cancellationToken).ConfigureAwait(false);
                if (wanted is not null && await table.Store.FindTenantAsync(wanted, cancellationToken).ConfigureAwait(false) is null)
                {
                    throw new KaslrMtException(TenantErrors.TenantUnknown, $"no tenant is named '{wanted}'", "see 'kaslrmt tenant list'");
                }

                IReadOnlyList<TableVmReport> vms = await TableListing.VmsAsync(table, wanted, cancellationToken).ConfigureAwait(false);
                Report.Show(output, parsed.GetValue(json), vms, ReportJson.Default.IReadOnlyListTableVmReport, TableListing.Print);
            }

            async Task HereAsync()
            {
                IReadOnlyList<VmReport> vms = [.. (await RunningVms.ListAsync(error).ConfigureAwait(false)).Select(VmReport.Of), .. await HostsAsync(error, cancellationToken).ConfigureAwait(false)];
                vms = StoreSettings.IsInUse(settings) ? await WithTableAsync(vms, settings, error, cancellationToken).ConfigureAwait(false) : vms;
                Report.Show(output, parsed.GetValue(json), vms, ReportJson.Default.IReadOnlyListVmReport, Print);
            }
        });
        return command.WithExamples("kaslrmt ps", "kaslrmt ps --tenant acme --watch", "kaslrmt ps --json | jq -r '.[].name'");
    }

    private static async Task<IEnumerable<VmReport>> HostsAsync(TextWriter error, CancellationToken cancellationToken)
    {
        using AgentClient? host = await AgentFinder.TryFindHostsAsync(error.WriteLine, cancellationToken).ConfigureAwait(false);
        return host is null ? [] : (await host.ListAsync(cancellationToken).ConfigureAwait(false)).Vms.Select(VmReport.Of);
    }

    // What runs here is told whatever becomes of the store.
    private static async Task<IReadOnlyList<VmReport>> WithTableAsync(
        IReadOnlyList<VmReport> vms, TableSettings settings, TextWriter error, CancellationToken cancellationToken)
    {
        try
        {
            await using TenantTable table = await OpenTable.ReconciledAsync(OpenTable.Impatient(settings), new LineLogger(error.WriteLine), cancellationToken).ConfigureAwait(false);
            Dictionary<string, VmView> known = await table.VmsHereAsync(cancellationToken).ToDictionaryAsync(view => view.Vm.Name, cancellationToken: cancellationToken).ConfigureAwait(false);
            List<VmReport> merged = [];
            foreach (VmReport vm in vms)
            {
                merged.Add(known.Remove(vm.Name, out VmView? view) && view.Vm.Tenant == vm.Tenant
                    ? vm with { Generation = view.Vm.Generation, InDoubt = view.InDoubt }
                    : vm);
            }

            // What the table knows of this host and the runtime directory does not, unless it began just now.
            HashSet<string> begun = known.Count == 0 ? [] : [.. RuntimeDirectory.Open().List().Select(vm => vm.Name)];
            merged.AddRange(known.Values.Where(view => !begun.Contains(view.Vm.Name)).Select(VmReport.Of));
            return [.. merged.OrderBy(vm => vm.Name, StringComparer.Ordinal)];
        }
        catch (KaslrMtException failure)
        {
            await error.WriteLineAsync($"kaslrmt: {failure.Code}: the tenant table is left out: {failure.Message}").ConfigureAwait(false);
            return vms;
        }
    }

    internal static void Print(TextWriter output, IReadOnlyList<VmReport> vms)
    {
        if (vms.Count == 0)
        {
            output.WriteLine("no VM runs");
            return;
        }

        // The owner's number yields to the key's generation: both would not fit 80 columns.
        bool known = vms.Any(vm => vm.Generation is not null);
        Table table = Report.Table("name", "~tenant", "state", "mode", "~kernel", ">memory", known ? ">gen" : ">owner", ">reboots", ">age");
        foreach (VmReport vm in vms)
        {
            table.Row(
                vm.Name,
                vm.Tenant ?? "-",
                vm.InDoubt is null ? vm.State : "in doubt",
                vm.Mode ?? "-",
                vm.Release ?? "-",
                vm.Memory ?? "-",
                (known ? vm.Generation : vm.OwnerProcess)?.ToString(CultureInfo.InvariantCulture) ?? "-",
                vm.Reboots?.ToString(CultureInfo.InvariantCulture) ?? "-",
                vm.Created is DateTimeOffset created ? Age.Of(created) : "-");
        }

        Report.Print(output, table);
        foreach (VmReport vm in vms.Where(vm => vm.InDoubt is not null))
        {
            Paragraph.Print(output, $"{vm.Name}: ", Printable.Of(vm.InDoubt!), ReportWriter.ColumnsOf(output));
        }

        foreach (VmReport vm in vms.Where(vm => vm.Waiting is not null))
        {
            Paragraph.Print(output, $"{vm.Name}: ", Printable.Of($"its guest waits for a kernel: {vm.Waiting}"), ReportWriter.ColumnsOf(output));
        }

        if (vms.Any(vm => vm.State == VmReport.NotHere))
        {
            Paragraph.Print(output, "", "not here: on this host, in another KASLRMT_RUNTIME_DIR or container", ReportWriter.ColumnsOf(output));
        }
    }
}

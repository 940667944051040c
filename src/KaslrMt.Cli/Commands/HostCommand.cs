using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Tables;
using KaslrMt.Tenants;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt host</c>: the hosts of the table.</summary>
internal static class HostCommand
{
    public static Command Create() => new Command("host", "See the hosts of the tenant table, and settle those that are gone") { List(), Evict() }
        .WithExamples("kaslrmt host list", "kaslrmt host evict h-0123456789abcdef");

    private static Command List()
    {
        Option<bool> json = CommonOptions.Json(), watch = Watching.Create();
        Option<string?> store = StoreOption.Create();
        var command = new Command("list", "List hosts, and whether they give signs of life") { store, watch, json };
        command.SetAction((parsed, cancellationToken) => Watching.RunAsync(
            parsed.InvocationConfiguration.Output,
            parsed.GetValue(watch),
            async () =>
            {
                await using TenantTable table = await CommandTable
                    .ForCommandAsync(StoreOption.Read(parsed, store), parsed.InvocationConfiguration.Error, cancellationToken).ConfigureAwait(false);
                List<HostReport> hosts = [];
                foreach (HostRecord host in await table.Store.HostsAsync(cancellationToken).ConfigureAwait(false))
                {
                    long vms = await table.Store.VmsOfHostAsync(host.Id, cancellationToken).LongCountAsync(cancellationToken).ConfigureAwait(false);
                    hosts.Add(new HostReport(host.Id, host.Name, host.Alive, host.Id == table.Host.Id, vms, host.Joined));
                }

                Report.Show(parsed.InvocationConfiguration.Output, parsed.GetValue(json), hosts, ReportJson.Default.IReadOnlyListHostReport, Print);
            },
            cancellationToken));
        return command.WithExamples("kaslrmt host list", "kaslrmt host list --watch");
    }

    private static Command Evict()
    {
        var id = new Argument<string>("HOST") { Description = "The host's identity, as 'kaslrmt host list' shows it" };
        id.NotEmpty();
        var saved = new Option<bool>("--discard-saved") { Description = "The memory of VMs that were saved there is gone too" };
        Option<bool> json = CommonOptions.Json();
        Option<string?> store = StoreOption.Create();
        var command = new Command("evict", "Declare a host gone for good: its VMs count no more. Your word that it does not come back") { id, saved, store, json };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string host = parsed.GetRequiredValue(id);
            await using TenantTable table = await CommandTable
                .ForCommandAsync(StoreOption.Read(parsed, store), parsed.InvocationConfiguration.Error, cancellationToken).ConfigureAwait(false);
            IReadOnlyList<VmRecord> settled = await table.EvictHostAsync(host, parsed.GetValue(saved), cancellationToken).ConfigureAwait(false);
            bool removed = (await table.Store.HostsAsync(cancellationToken).ConfigureAwait(false)).All(known => known.Id != host);
            var report = new EvictionReport(host, removed, [.. settled.Select(vm => vm.Name)]);
            Report.Show(parsed.InvocationConfiguration.Output, parsed.GetValue(json), report, ReportJson.Default.EvictionReport, Print);
            return ExitCode.Success;
        });
        return command.WithExamples("kaslrmt host evict h-0123456789abcdef", "kaslrmt host evict h-0123456789abcdef --discard-saved");
    }

    private static void Print(TextWriter output, IReadOnlyList<HostReport> hosts)
    {
        Table table = Report.Table("host", "~name", "alive", ">VMs", ">known for", "note");
        foreach (HostReport host in hosts)
        {
            table.Row(host.Id, host.Name, host.Alive ? "yes" : "NO", host.Vms.ToString(CultureInfo.InvariantCulture), Age.Of(host.Joined), host.This ? "this one" : "");
        }

        Report.Print(output, table);
    }

    private static void Print(TextWriter output, EvictionReport report)
    {
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{report.Id}: {report.Settled.Count} VM(s) settled{(report.Removed ? "" : "; it stays for the VMs saved there")}"));
        foreach (string vm in report.Settled)
        {
            output.WriteLine($"  {Printable.Of(vm)}");
        }
    }
}

using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli.Guests;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Vms;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;
using KaslrMt.Sharing;

namespace KaslrMt.Cli.Sharing;

/// <summary><c>kaslrmt sharing</c>: what running guests share, and what merging would save.</summary>
internal static class SharingCommand
{
    /// <summary>Gets the command.</summary>
    /// <param name="page">What writes the comparison as a page too; null where the program writes no pages.</param>
    public static Command Create(ISharingPage? page = null)
    {
        var names = new Argument<string[]>("GUEST")
        {
            Description = "VMs, as 'kaslrmt ps' lists them; or pid:N (anybody's QEMU), core:FILE, ram:FILE",
            Arity = ArgumentArity.ZeroOrMore,
        };
        names.NotEmpty();
        var all = new Option<bool>("--all", "-a") { Description = "All VMs of this host" };
        var tenant = new Option<string?>("--tenant") { Description = "All of a tenant's VMs on this host", HelpName = "NAME" };
        tenant.NotEmpty();
        Option<bool> json = CommonOptions.Json();
        var command = new Command(
            "sharing",
            "Compare all pages of running guests: how many are equal, within a tenant and across tenants, by what they hold; what merging saves, and what different layouts cost")
        {
            names, all, tenant, json,
        };
        page?.AddTo(command);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            TextWriter error = parsed.InvocationConfiguration.Error;
            page?.Check(parsed);

            IReadOnlyList<GuestReference> references = await ChooseAsync(
                parsed.GetValue(names) ?? [], parsed.GetValue(all), parsed.GetValue(tenant), error).ConfigureAwait(false);
            List<GuestSource> sources = [];
            try
            {
                foreach (GuestReference reference in references)
                {
                    sources.Add(await GuestSource.OpenAsync(reference, error, cancellationToken).ConfigureAwait(false));
                }

                SharingReport report = SharingReport.Of(Compare(sources, Progress.To(error), cancellationToken)) with { Measured = Measurement.Of(parsed) };
                page?.Write(parsed, report);
                Report.Show(parsed.InvocationConfiguration.Output, parsed.GetValue(json), report, ReportJson.Default.SharingReport, Print);
                return ExitCode.Success;
            }
            finally
            {
                foreach (GuestSource source in sources)
                {
                    await source.DisposeAsync().ConfigureAwait(false);
                }
            }
        });
        return command.WithExamples("kaslrmt sharing web1 web2", "kaslrmt sharing --tenant acme", "kaslrmt sharing --all --json", "kaslrmt sharing pid:4711 pid:4712");
    }

    private static async Task<IReadOnlyList<GuestReference>> ChooseAsync(string[] names, bool all, string? tenant, TextWriter error)
    {
        if (all || tenant is not null)
        {
            IReadOnlyList<RunningVm> running = await RunningVms.ListAsync(error).ConfigureAwait(false);
            names = [.. running.Where(vm => vm.State?.ProcessId is not null && (all || vm.State.Tenant == tenant)).Select(vm => vm.Name)];
        }

        GuestReference[] chosen = [.. names.Distinct().Select(GuestReference.Parse)];
        return chosen.Length > 0
            ? chosen
            : throw new KaslrMtException(CoreErrors.Usage, all || tenant is not null ? "no such VM runs" : "sharing needs VMs", "give their names, --tenant NAME, or --all; see 'kaslrmt ps'");
    }

    private static GuestSharing Compare(List<GuestSource> sources, Progress progress, CancellationToken cancellationToken)
    {
        List<GuestPages> guests = [];
        foreach (GuestSource source in sources)
        {
            cancellationToken.ThrowIfCancellationRequested();
            progress.Say($"reading {source.Label}", guests.Count, sources.Count);
            guests.Add(GuestPages.Read(source.Label, source.Vm?.State?.Tenant, source.Kernel));
        }

        progress.Say("comparing", sources.Count, sources.Count);
        GuestSharing sharing = GuestSharing.Of(guests, cancellationToken);
        progress.Clear();
        return sharing;
    }

    private static void Print(TextWriter output, SharingReport report)
    {
        Table table = Report.Table("pages", ">all", ">zero", ">redundant", ">%", ">within tenants", ">across");
        foreach (SharingReport.Row row in report.Classes.Where(row => row.Pages > 0).Append(report.Kernel).Append(report.All))
        {
            table.Row(Label(row.Name), Number(row.Pages), Number(row.Zero), Number(row.Redundant), Percent(row.RedundantShare), Number(row.WithinTenants), Number(row.AcrossTenants));
        }

        Report.Print(output, table);
        output.WriteLine();
        long total = report.All.Pages * PageCensus.PageSize;
        output.WriteLine($"{report.Guests.Count} guests, {Size(total)}: merging saves {Size(report.SaveableBytes)}");
        output.WriteLine($"kernel code held more than once because layouts differ: {Size(report.KernelCodeKeptApartBytes)}");
        if (report.ChangedPages > 0)
        {
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{report.ChangedPages} pages changed while they were compared, and count as different"));
        }
    }

    private static string Label(string name) => name switch
    {
        "kernel" => "kernel (the first six)",
        _ => name,
    };

    private static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);

    private static string Percent(double share) => (share * 100).ToString("0.0", CultureInfo.InvariantCulture);

    private static string Size(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)ByteSize.MiB:0.0} MiB");
}

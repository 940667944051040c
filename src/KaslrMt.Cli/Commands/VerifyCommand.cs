using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Vms;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;
using KaslrMt.Layout;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt verify</c>: do guests' memories hold the layouts they were given, and do a tenant's VMs keep their policy's promise.</summary>
internal static class VerifyCommand
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    public static Command Create()
    {
        var names = new Argument<string[]>("NAME") { Description = "VMs, as 'kaslrmt ps' lists them", Arity = ArgumentArity.ZeroOrMore };
        names.NotEmpty();
        var tenant = new Option<string?>("--tenant") { Description = "All of a tenant's VMs on this host", HelpName = "NAME" };
        tenant.NotEmpty();
        var all = new Option<bool>("--all", "-a") { Description = "All VMs of this host that were given a layout" };
        Option<bool> json = CommonOptions.Json();
        var command = new Command(
            "verify",
            "Compare the layout a VM was given with what its memory holds, read from outside; and a tenant's VMs with each other: shared where the policy says so, different elsewhere")
        {
            names, tenant, all, json,
        };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string[] wanted = parsed.GetValue(names) ?? [];
            string? ofTenant = parsed.GetValue(tenant);
            bool everything = parsed.GetValue(all);
            if (Convert.ToInt32(wanted.Length > 0) + Convert.ToInt32(ofTenant is not null) + Convert.ToInt32(everything) != 1)
            {
                throw new KaslrMtException(CoreErrors.Usage, "verify needs the VMs' names, or --tenant NAME, or --all", "see 'kaslrmt verify --help'");
            }

            IReadOnlyList<RunningVm> running = await RunningVms.ListAsync(parsed.InvocationConfiguration.Error).ConfigureAwait(false);
            IReadOnlyList<VerifyReport> reports = await VerifyAsync(Choose(running, wanted, ofTenant), running, cancellationToken).ConfigureAwait(false);
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (wanted.Length == 1)
            {
                Report.Show(output, parsed.GetValue(json), reports[0], ReportJson.Default.VerifyReport, Print);
            }
            else
            {
                Report.Show(output, parsed.GetValue(json), reports, ReportJson.Default.IReadOnlyListVerifyReport, Print);
            }

            return reports.All(report => report.Holds) ? ExitCode.Success : ExitCode.CheckFailed;
        });
        return command.WithExamples("kaslrmt verify web1", "kaslrmt verify --tenant acme", "kaslrmt verify --all --json");
    }

    private static List<RunningVm> Choose(IReadOnlyList<RunningVm> running, string[] names, string? tenant)
    {
        if (names.Length > 0)
        {
            return [.. names.Distinct().Select(VmName.Check).ToArray().Select(name => running.FirstOrDefault(vm => vm.Name == name)
                ?? throw new KaslrMtException(VmErrors.NoSuchVm, $"no VM named '{name}' runs", "see 'kaslrmt ps'"))];
        }

        // A VM without a layout of ours has nothing that could be verified; who names it is told so.
        List<RunningVm> chosen = [.. running.Where(vm => (tenant is null || vm.State?.Tenant == tenant)
            && vm.State?.ProcessId is not null && IntendedLayout.ReadFrom(vm.Folder) is not null)];
        return chosen.Count > 0 ? chosen : throw new KaslrMtException(
            VmErrors.NoSuchVm, tenant is null ? "no VM with a layout runs on this host" : $"no VM of tenant '{Printable.Of(tenant, 64)}' runs on this host with a layout", "see 'kaslrmt ps'");
    }

    private static async Task<IReadOnlyList<VerifyReport>> VerifyAsync(
        List<RunningVm> chosen, IReadOnlyList<RunningVm> running, CancellationToken cancellationToken)
    {
        Dictionary<string, LayoutVerification> found = [];
        foreach (RunningVm vm in chosen)
        {
            found[vm.Name] = await VerifyAsync(vm, cancellationToken).ConfigureAwait(false);
        }

        Dictionary<string, VerifyReport.VerifiedPromise?> promises = chosen.Select(vm => vm.State!.Tenant).OfType<string>().Distinct()
            .ToDictionary(tenant => tenant, tenant => VerifyReport.VerifiedPromise.Of(PolicyCheck.Check(tenant, running, found)));
        return [.. chosen.Select(vm => ReportOf(vm, found[vm.Name]) with
        {
            Promise = vm.State!.Tenant is string tenant && promises[tenant] is { } promise && promise.Vms.Contains(vm.Name) ? promise : null,
        })];
    }

    private static async Task<LayoutVerification> VerifyAsync(RunningVm vm, CancellationToken cancellationToken)
    {
        if (vm.State?.ProcessId is null || IntendedLayout.ReadFrom(vm.Folder) is not { } intended)
        {
            throw new KaslrMtException(VmErrors.NoLayout, $"'{vm.Name}' was given no layout: it is starting, or boots with its kernel's own KASLR");
        }

        IVmConnection connection = await Hypervisor.Default.OpenAsync(vm, cancellationToken).ConfigureAwait(false);
        await using (connection.ConfigureAwait(false))
        {
            return await LayoutVerification.RunAsync(intended, connection, Patience, cancellationToken).ConfigureAwait(false);
        }
    }

    private static VerifyReport ReportOf(RunningVm vm, LayoutVerification found) => new(vm.Name, vm.State?.Tenant, found.Matches, [.. found.Regions.Select(row =>
        new VerifyReport.VerifiedRegion(
            row.Region.Name(),
            row.Scope.Name(),
            Hex(row.Intended),
            row.Observed is ulong observed ? Hex(observed) : null,
            row.Observed is null ? null : row.Observed == row.Intended))]);

    private static void Print(TextWriter output, IReadOnlyList<VerifyReport> reports)
    {
        foreach (VerifyReport report in reports)
        {
            PrintRegions(output, report);
            output.WriteLine();
        }

        foreach (VerifyReport.VerifiedPromise promise in reports.Select(report => report.Promise).OfType<VerifyReport.VerifiedPromise>().DistinctBy(promise => promise.Tenant))
        {
            Print(output, promise);
        }
    }

    private static void Print(TextWriter output, VerifyReport report)
    {
        PrintRegions(output, report);
        if (report.Promise is { } promise)
        {
            Print(output, promise);
        }
    }

    private static void PrintRegions(TextWriter output, VerifyReport report)
    {
        Table table = Report.Table("region", "scope", "intended", "observed", "");
        foreach (VerifyReport.VerifiedRegion row in report.Regions)
        {
            table.Row(row.Name, row.Scope, row.Intended, row.Observed ?? "not drawn yet", row.Matches switch { true => "ok", false => "DIFFERS", null => "" });
        }

        Report.Print(output, table);
        output.WriteLine(report.Matches ? $"{report.Name}: the guest's memory holds the layout it was given" : $"{report.Name}: MISMATCH");
    }

    private static void Print(TextWriter output, VerifyReport.VerifiedPromise promise)
    {
        output.WriteLine(promise.Holds
            ? $"tenant {promise.Tenant}: its {promise.Vms.Count} VMs here share what the policy shares, and nothing else"
            : $"tenant {promise.Tenant}: PROMISE BROKEN over its {promise.Vms.Count} VMs here");
        foreach (string breach in promise.Violations)
        {
            output.WriteLine($"  {breach}");
        }
    }

    private static string Hex(ulong value) => string.Create(CultureInfo.InvariantCulture, $"0x{value:x16}");
}

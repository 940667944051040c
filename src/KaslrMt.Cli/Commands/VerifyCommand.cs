using System.CommandLine;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Vms;
using KaslrMt.Hypervisors;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt verify</c>: do guests' memories hold the layouts they were given, and do a tenant's VMs keep their policy's promise.</summary>
internal static class VerifyCommand
{
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

            TextWriter error = parsed.InvocationConfiguration.Error;
            IReadOnlyList<RunningVm> running = await RunningVms.ListAsync(error).ConfigureAwait(false);
            using AgentClient? host = Array.TrueForAll(wanted, name => running.Any(vm => vm.Name == name)) && wanted.Length > 0
                ? null
                : await AgentFinder.TryFindHostsAsync(error.WriteLine, cancellationToken).ConfigureAwait(false);
            List<RunningVm> own = host is null || wanted.Length == 0 ? Choose(running, wanted, ofTenant) : [];
            List<VerifyReport> reports = [.. await Verifier.RunAsync(own, running, cancellationToken).ConfigureAwait(false)];
            reports.AddRange(host is null ? [] : await AskAsync(host, wanted, ofTenant, cancellationToken).ConfigureAwait(false));
            if (reports.Count == 0)
            {
                throw new KaslrMtException(
                    VmErrors.NoSuchVm, ofTenant is null ? "no VM with a layout runs on this host" : $"no VM of tenant '{Printable.Of(ofTenant, 64)}' runs on this host with a layout", "see 'kaslrmt ps'");
            }

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
        return [.. running.Where(vm => (tenant is null || vm.State?.Tenant == tenant)
            && vm.State?.ProcessId is not null && IntendedLayout.ReadFrom(vm.Folder) is not null)];
    }

    // The VMs of an agent of another user, as far as this caller may act for their tenants.
    private static async Task<IReadOnlyList<VerifyReport>> AskAsync(AgentClient host, string[] names, string? tenant, CancellationToken cancellationToken)
    {
        IEnumerable<string> chosen = names.Length > 0
            ? names.Distinct().Select(VmName.Check)
            : (await host.ListAsync(cancellationToken).ConfigureAwait(false)).Vms
                .Where(vm => (tenant is null || vm.State?.Tenant == tenant) && vm.State?.ProcessId is not null).Select(vm => vm.Name);
        List<VerifyReport> reports = [];
        foreach (string name in chosen.ToArray())
        {
            try
            {
                reports.Add(await host.VerifyAsync(name, cancellationToken).ConfigureAwait(false));
            }
            catch (KaslrMtException none) when (names.Length == 0 && none.Code.Number == VmErrors.NoLayout.Number)
            {
                // It has nothing that could be verified.
            }
        }

        return reports;
    }

    internal static void Print(TextWriter output, IReadOnlyList<VerifyReport> reports)
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
}

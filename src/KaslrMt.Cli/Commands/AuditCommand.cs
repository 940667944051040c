using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Vms;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Layout;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt audit</c>: is anything wrong in a guest's memory.</summary>
internal static class AuditCommand
{
    public static Command Create()
    {
        var names = new Argument<string[]>("NAME") { Description = "The VMs, as 'kaslrmt ps' lists them; default: all", Arity = ArgumentArity.ZeroOrMore };
        Option<string?> kernel = new Option<string?>("--kernel", "-k") { Description = "The guest's kernel file; default: the one the VM was started with", HelpName = "FILE" }.NotEmpty();
        Option<string[]> only = Checks("--only", "Run only this check; may be repeated"), skip = Checks("--skip", "Leave this check out; may be repeated");
        Option<string?> keyFile = new Option<string?>("--tenant-key-file") { Description = "The tenant key's file (mode 0600), or - for standard input", HelpName = "FILE" }.NotEmpty();
        var show = new Option<bool>("--show-addresses") { Description = "Show what the guest's log leaks; else it is masked" };
        Option<bool> json = CommonOptions.Json();
        var pid = new Option<int?>("--pid");
        var qmp = new Option<string?>("--qmp");
        var command = new Command("audit", "Look for what is wrong in a guest's memory: hooks in its kernel's code, unsafe mappings, leaks") { names, kernel, only, skip, keyFile, show, json, pid, qmp };
        command.SetAction(async (parsed, cancellation) =>
        {
            IReadOnlyList<AuditCheck> checks = [.. AuditCheck.All.Where(check =>
                (parsed.GetValue(only) is not { Length: > 0 } wanted || wanted.Contains(check.Name)) && parsed.GetValue(skip)?.Contains(check.Name) != true)];
            List<AuditReport> reports = [];
            using TenantKey? key = parsed.GetValue(keyFile) is string path ? KeySource.Read(path) : null;
            using SecretTraces secrets = SecretTraces.Of(key);
            if (parsed.GetValue(pid) is int id)
            {
                reports.Add(await AuditAsync("stock", parsed.GetValue(qmp)!, id, parsed.GetValue(kernel), checks, secrets, parsed.GetValue(show), cancellation).ConfigureAwait(false));
            }

            foreach (string name in parsed.GetValue(names) ?? [])
            {
                RunningVm vm = await RunningVms.FindAsync(name, parsed.InvocationConfiguration.Error).ConfigureAwait(false);
                reports.Add(await AuditAsync(vm.Name, vm.MonitorSocket, vm.State!.QemuProcess!.Value, parsed.GetValue(kernel) ?? vm.State!.Kernel, checks, secrets, parsed.GetValue(show), cancellation).ConfigureAwait(false));
            }

            Report.Show<IReadOnlyList<AuditReport>>(parsed.InvocationConfiguration.Output, parsed.GetValue(json), reports, ReportJson.Default.IReadOnlyListAuditReport, Print);
            return reports.All(report => report.Clean) ? ExitCode.Success : ExitCode.CheckFailed;
        });
        return command.WithExamples("kaslrmt audit web1", "kaslrmt audit web1 --only consensus --json");
    }

    private static Option<string[]> Checks(string name, string description)
    {
        var option = new Option<string[]>(name) { Description = $"{description}: {string.Join(", ", AuditCheck.All.Select(check => check.Name))}", HelpName = "CHECK" };
        option.AcceptOnlyFromAmong([.. AuditCheck.All.Select(check => check.Name)]);
        return option;
    }

    private static async Task<AuditReport> AuditAsync(string name, string monitorSocket, int process, string? kernelFile, IReadOnlyList<AuditCheck> checks, SecretTraces secrets, bool show, CancellationToken cancellation)
    {
        long t0 = System.Diagnostics.Stopwatch.GetTimestamp();
        void T(string what) { if (Debugging.IsOn) { Console.Error.WriteLine($"{System.Diagnostics.Stopwatch.GetElapsedTime(t0).TotalMilliseconds:f0} ms {what}"); } }
        QmpClient monitor = await QmpClient.ConnectAsync(monitorSocket, QmpClient.DefaultTimeout, cancellation).ConfigureAwait(false);
        await using (monitor.ConfigureAwait(false))
        {
            using QemuMemory memory = await QemuMemory.OpenAsync(monitor, process, cancellation).ConfigureAwait(false);
            T("opened");
            GuestKernel kernel = GuestKernel.Find(memory);
            T("found");
            using KernelImage? image = kernelFile is null ? null : KernelImage.Open(kernelFile);
            T("image");
            var subject = new AuditSubject(kernel) { Image = image, Secrets = secrets, ShowAddresses = show };
            List<AuditOutcome> outcomes = [];
            foreach (var c in checks) { outcomes.AddRange(GuestAudit.Run(subject, [c])); T(c.Name); }
            return new AuditReport(name, kernel.Release, outcomes.All(outcome => outcome.Findings.Count == 0), [.. outcomes.Select(Result)]);
        }
    }

    private static AuditReport.CheckResult Result(AuditOutcome outcome) => new(
        outcome.Check.Name,
        outcome.Check.Subject,
        outcome.NotDone is not null ? "not done" : outcome.IsClean ? "clean" : string.Create(CultureInfo.InvariantCulture, $"{outcome.Findings.Count} found"),
        outcome.Looked,
        outcome.NotDone,
        [.. outcome.Findings.Select(finding => new AuditReport.FindingResult(finding.Severity.ToString().ToLowerInvariant(), finding.Where, finding.What, finding.Address?.ToString()))]);

    private static void Print(TextWriter output, IReadOnlyList<AuditReport> reports)
    {
        foreach (AuditReport report in reports)
        {
            Table table = Report.Table("check", "result", "~what it looks for");
            foreach (AuditReport.CheckResult check in report.Checks)
            {
                table.Row(check.Name, check.Result, check.NotDone ?? $"{check.Subject} ({check.Looked})");
            }

            output.WriteLine($"{report.Name}: {report.Release}");
            Report.Print(output, table);
            foreach (AuditReport.CheckResult check in report.Checks)
            {
                foreach (AuditReport.FindingResult finding in check.Findings)
                {
                    output.WriteLine($"{check.Name}: {finding.Severity}: {finding.Where}: {finding.What}");
                }
            }
        }
    }
}

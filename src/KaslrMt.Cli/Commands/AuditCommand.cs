using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli.Guests;
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
        var guests = new Argument<string[]>("GUEST")
        {
            Description = "VMs, as 'kaslrmt ps' lists them, or pid:N, ram:FILE, core:FILE; default: all VMs",
            Arity = ArgumentArity.ZeroOrMore,
        }.NotEmpty();
        Option<string?> kernel = new Option<string?>("--kernel", "-k") { Description = "The guests' kernel file; default: the one that each VM was started with", HelpName = "FILE" }.NotEmpty();
        Option<string[]> only = Checks("--only", "Run only this check; may be repeated"), skip = Checks("--skip", "Leave this check out; may be repeated");
        Option<string?> keyFile = new Option<string?>("--tenant-key-file") { Description = "The tenant key's file (mode 0600), or - for standard input: for the check 'key'", HelpName = "FILE" }.NotEmpty();
        var addresses = new Option<bool>("--show-addresses") { Description = "Show the addresses that a guest's log leaks; else they are masked" };
        var pause = new Option<bool>("--pause") { Description = "Stop each guest meanwhile, for a view of one moment" };
        Option<bool> json = CommonOptions.Json();
        var command = new Command("audit", "Look for what is wrong in guests' memory: hooks in kernel code, unsafe mappings, leaks")
        {
            guests, kernel, only, skip, keyFile, addresses, pause, json,
        };
        command.SetAction(async (parsed, cancellation) =>
        {
            IReadOnlyList<AuditCheck> checks = [.. AuditCheck.All.Where(check =>
                (parsed.GetValue(only) is not { Length: > 0 } wanted || wanted.Contains(check.Name)) && parsed.GetValue(skip)?.Contains(check.Name) != true)];
            TextWriter error = parsed.InvocationConfiguration.Error;
            using TenantKey? key = parsed.GetValue(keyFile) is string path ? KeySource.Read(path) : null;
            using SecretTraces secrets = SecretTraces.Of(key);
            List<AuditReport> reports = [];
            foreach (GuestReference guest in await GuestsAsync(parsed.GetValue(guests) ?? [], error).ConfigureAwait(false))
            {
                reports.Add(await AuditAsync(
                    guest with { Pause = parsed.GetValue(pause) && (guest.Name is not null || guest.Process is not null) },
                    parsed.GetValue(kernel),
                    checks,
                    secrets,
                    parsed.GetValue(addresses),
                    error,
                    cancellation).ConfigureAwait(false));
            }

            Report.Show<IReadOnlyList<AuditReport>>(parsed.InvocationConfiguration.Output, parsed.GetValue(json), reports, ReportJson.Default.IReadOnlyListAuditReport, Print);
            return reports.All(report => report.Clean) ? ExitCode.Success : ExitCode.CheckFailed;
        });
        return command.WithExamples("kaslrmt audit", "kaslrmt audit web1 --tenant-key-file acme.key", "kaslrmt audit pid:4711 --kernel vmlinuz --only consensus --json");
    }

    private static Option<string[]> Checks(string name, string description)
    {
        var option = new Option<string[]>(name) { Description = $"{description}: {string.Join(", ", AuditCheck.All.Select(check => check.Name))}", HelpName = "CHECK" };
        option.AcceptOnlyFromAmong([.. AuditCheck.All.Select(check => check.Name)]);
        return option;
    }

    private static async Task<IReadOnlyList<GuestReference>> GuestsAsync(string[] given, TextWriter error) => given.Length > 0
        ? [.. given.Select(GuestReference.Parse)]
        : [.. (await RunningVms.ListAsync(error).ConfigureAwait(false)).Where(vm => vm.State?.QemuProcess is not null).Select(vm => new GuestReference { Name = vm.Name })];

    private static async Task<AuditReport> AuditAsync(
        GuestReference guest, string? kernelFile, IReadOnlyList<AuditCheck> checks, SecretTraces secrets, bool addresses, TextWriter error, CancellationToken cancellation)
    {
        // Unpacking the kernel file takes as long as all that is read of the guest: both at once.
        string? file = kernelFile ?? (guest.Name is { } name ? RunningVms.TryFind(name)?.State?.Kernel : null);
        Task<KernelImage?> opening = checks.Any(check => check.NeedsImage) && file is not null ? Task.Run(() => (KernelImage?)KernelImage.Open(file), cancellation) : Task.FromResult<KernelImage?>(null);
        try
        {
            await using GuestSource source = await GuestSource.OpenAsync(guest, error, cancellation).ConfigureAwait(false);
            GuestKernel kernel = source.Kernel;
            var subject = new AuditSubject(kernel) { Image = await opening.ConfigureAwait(false), Secrets = secrets, ShowAddresses = addresses };
            IReadOnlyList<AuditOutcome> outcomes = GuestAudit.Run(subject, checks);
            return new AuditReport(source.Label, kernel.Release, outcomes.All(outcome => outcome.Findings.Count == 0), [.. outcomes.Select(Result)]);
        }
        finally
        {
            // The guest's own error comes first; what became of the file is then of no interest.
            await opening.ContinueWith(
                opened => (opened.IsCompletedSuccessfully ? opened.Result : null)?.Dispose(), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default).ConfigureAwait(false);
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
            Table table = Report.Table("check", "result", "~looked for");
            foreach (AuditReport.CheckResult check in report.Checks)
            {
                table.Row(check.Name, check.Result, check.NotDone ?? $"{check.Subject} ({check.Looked})");
            }

            output.WriteLine($"{report.Name}: {Printable.Of(report.Release)}");
            Report.Print(output, table);
            foreach ((AuditReport.CheckResult check, AuditReport.FindingResult finding) in report.Checks.SelectMany(check => check.Findings.Select(finding => (check, finding))))
            {
                Paragraph.Print(output, $"{check.Name}: {finding.Severity}: ", Printable.Of($"{finding.Where}: {finding.What}"), ReportWriter.ColumnsOf(output));
            }
        }
    }
}

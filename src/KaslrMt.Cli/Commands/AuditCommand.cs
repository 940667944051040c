using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli.Guests;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Vms;
using KaslrMt.Guests;
using KaslrMt.Kernels;
using KaslrMt.Layout;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt audit</c>: is anything wrong in a guest's memory.</summary>
internal static class AuditCommand
{
    private static readonly TimeSpan BootPatience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan BootInterval = TimeSpan.FromMilliseconds(100);

    public static Command Create()
    {
        var guests = new Argument<string[]>("GUEST")
        {
            Description = "VMs, as 'kaslrmt ps' lists them, or pid:N, ram:FILE, core:FILE; default: all VMs",
            Arity = ArgumentArity.ZeroOrMore,
        }.NotEmpty();
        Option<string?> kernel = new Option<string?>("--kernel", "-k") { Description = "The guests' kernel file; default: the one that each VM was started with", HelpName = "FILE" }.NotEmpty();
        Option<string[]> only = Checks("--only", "Run only this check; may be repeated"), skip = Checks("--skip", "Leave this check out; may be repeated");
        Option<string?> keyFile = new Option<string?>("--tenant-key-file") { Description = "The tenant key's file (mode 0600), or - for standard input, for the check 'key'; default: the tenant table's, for VMs that are in it", HelpName = "FILE" }.NotEmpty();
        var addresses = new Option<bool>("--show-addresses") { Description = "Show the addresses that a guest's log leaks; else they are masked" };
        var pause = new Option<bool>("--pause") { Description = "Stop each guest meanwhile, for a view of one moment" };
        Option<bool> json = CommonOptions.Json();
        var command = new Command("audit", "Look for what is wrong in guests' memory: hooks in kernel code, unsafe mappings, leaks")
        {
            guests, kernel, only, skip, keyFile, addresses, pause, json,
        };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            IReadOnlyList<AuditCheck> checks = [.. AuditCheckRegistry.BuiltIn.Where(check =>
                (parsed.GetValue(only) is not { Length: > 0 } wanted || wanted.Contains(check.Name)) && parsed.GetValue(skip)?.Contains(check.Name) != true)];
            if (checks.Count == 0)
            {
                throw new KaslrMtException(CoreErrors.Usage, "--only and --skip together leave no check", "leave one of them out");
            }

            TextWriter error = parsed.InvocationConfiguration.Error;
            using TenantKey? key = parsed.GetValue(keyFile) is string path ? KeySource.Read(path) : null;
            bool needsKey = checks.Any(check => check.NeedsSecrets);
            List<AuditReport> reports = [];
            List<CodeSnapshot> code = [];
            List<GuestSource> open = [];
            try
            {
                IReadOnlyList<GuestReference> all = await GuestsAsync(parsed.GetValue(guests) ?? [], error).ConfigureAwait(false);
                bool compares = all.Count > 1 && checks.Any(check => check.NeedsImage);
                foreach (GuestReference guest in all)
                {
                    bool running = guest.Name is not null || guest.Process is not null;
                    GuestSource source = await GuestSource.OpenAsync(guest with { Pause = running && parsed.GetValue(pause) }, error, cancellationToken).ConfigureAwait(false);
                    open.Add(source);
                    using TenantKey? own = key is null && needsKey && source.Vm is { } vm ? await VmKey.OfAsync(vm, new LineLogger(error.WriteLine), cancellationToken).ConfigureAwait(false) : null;
                    using SecretTraces secrets = SecretTraces.Of(key ?? own);
                    reports.Add(await AuditAsync(source, parsed.GetValue(kernel), checks, secrets, parsed.GetValue(addresses), running && !parsed.GetValue(pause), compares ? code : null, cancellationToken).ConfigureAwait(false));
                }

                reports = compares ? [.. reports.Zip(code, CodeConsensus.Compare(code)).Select(guest => guest.Second.ComparedWith(code) is { } compared ? Add(guest.First, compared, guest.Third) : guest.First)] : reports;
            }
            finally
            {
                foreach (GuestSource source in open)
                {
                    await source.DisposeAsync().ConfigureAwait(false);
                }
            }

            reports = [.. reports.Select(report => Demand(report, parsed.GetValue(only) ?? []))];
            if (reports.Count == 0)
            {
                await error.WriteLineAsync("kaslrmt: no VM runs here: nothing was audited").ConfigureAwait(false);
            }

            Report.Show<IReadOnlyList<AuditReport>>(parsed.InvocationConfiguration.Output, parsed.GetValue(json), reports, ReportJson.Default.IReadOnlyListAuditReport, Print);
            return reports.All(report => report.Clean) ? ExitCode.Success : ExitCode.CheckFailed;
        });
        return command.WithExamples("kaslrmt audit", "kaslrmt audit web1 --tenant-key-file acme.key", "kaslrmt audit pid:4711 --kernel vmlinuz --only consensus --json");
    }

    private static Option<string[]> Checks(string name, string description)
    {
        var option = new Option<string[]>(name) { Description = $"{description}: {string.Join(", ", AuditCheckRegistry.BuiltIn.Select(check => check.Name))}", HelpName = "CHECK" };
        option.AcceptOnlyFromAmong([.. AuditCheckRegistry.BuiltIn.Select(check => check.Name)]);
        return option;
    }

    private static async Task<IReadOnlyList<GuestReference>> GuestsAsync(string[] given, TextWriter error) => given.Length > 0
        ? [.. given.Select(GuestReference.Parse)]
        : [.. (await RunningVms.ListAsync(error).ConfigureAwait(false)).Where(vm => vm.State?.ProcessId is not null).Select(vm => new GuestReference { Name = vm.Name })];

    private static async Task<AuditReport> AuditAsync(
        GuestSource source, string? kernelFile, IReadOnlyList<AuditCheck> checks, SecretTraces secrets, bool addresses, bool waits, List<CodeSnapshot>? code, CancellationToken cancellationToken)
    {
        // Unpacking the kernel file takes as long as all that is read of the guest: both at once.
        string? file = kernelFile ?? source.Vm?.State?.Kernel;
        Task<KernelImage?> opening = checks.Any(check => check.NeedsImage) && file is not null
            ? Task.Run(() => (KernelImage?)KernelImage.Open(file), cancellationToken)
            : Task.FromResult<KernelImage?>(null);
        try
        {
            GuestKernel kernel = source.Kernel;
            if (waits)
            {
                await WaitForBootAsync(kernel, cancellationToken).ConfigureAwait(false);
            }

            var subject = new AuditSubject(kernel) { Image = await opening.ConfigureAwait(false), Secrets = secrets, ShowAddresses = addresses };
            IReadOnlyList<AuditOutcome> outcomes = GuestAudit.Run(subject, checks);
            code?.Add(CodeSnapshot.Take(source.Label, subject));
            return new AuditReport(source.Label, kernel.Release, [.. outcomes.Select(Result)]);
        }
        finally
        {
            // The guest's own error comes first; what became of the file is then of no interest.
            await opening.ContinueWith(
                opened => (opened.IsCompletedSuccessfully ? opened.Result : null)?.Dispose(), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default).ConfigureAwait(false);
        }
    }

    // A kernel that boots patches its own code and may write all of it; what stands still (a file, --pause) will not get done. The wait has an end, because a rootkit may claim to be booting.
    private static async Task WaitForBootAsync(GuestKernel kernel, CancellationToken cancellationToken)
    {
        for (long start = Environment.TickCount64; kernel.IsBooting() && Environment.TickCount64 - start < BootPatience.TotalMilliseconds;)
        {
            await Task.Delay(BootInterval, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>A check that was asked for by name and could not be done has failed.</summary>
    private static AuditReport Demand(AuditReport report, string[] named) => report with
    {
        Checks = [.. report.Checks.Select(check => check.NotDone is null || !named.Contains(check.Name) ? check : check with { Failed = true, Result = "failed" })],
    };

    /// <summary>Adds what comparing the guests found to the check of that name, which alone may not have been done for want of a kernel file.</summary>
    private static AuditReport Add(AuditReport report, string compared, IReadOnlyList<AuditFinding> findings) => report with
    {
        Checks =
        [
            .. report.Checks.Select(check => check.Name != CodeConsensus.CheckName ? check : check with
            {
                Findings = [.. check.Findings, .. findings.Select(Result)],
                Result = check.Findings.Count + findings.Count > 0 ? string.Create(CultureInfo.InvariantCulture, $"{check.Findings.Count + findings.Count} found") : "clean",
                NotDone = null,
                Looked = string.Join("; ", new[] { check.Looked, $"compared with the other guests: {compared}" }.Where(text => text.Length > 0)),
            }),
        ],
    };

    private static AuditReport.FindingResult Result(AuditFinding finding) =>
        new(finding.Severity.ToString().ToLowerInvariant(), finding.Where, finding.What, finding.Address?.ToString());

    private static AuditReport.CheckResult Result(AuditOutcome outcome) => new(
        outcome.Check.Name,
        outcome.Check.Subject,
        outcome.Failed ? "failed" : outcome.NotDone is not null ? "not done" : outcome.IsClean ? "clean" : string.Create(CultureInfo.InvariantCulture, $"{outcome.Findings.Count} found"),
        outcome.Looked,
        outcome.NotDone,
        outcome.Failed,
        [.. outcome.Findings.Select(Result)]);

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

using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Vms;
using KaslrMt.Hypervisors;
using KaslrMt.Sharing;

namespace KaslrMt.Cli.Sharing;

/// <summary><c>kaslrmt ksm</c>: the host's memory deduplication.</summary>
internal static class KsmCommand
{
    private const long PageSize = 4096;
    private const int MillisecondsPerSecond = 1000;

    // All memory once in two minutes: short against a VM's life, and some per cent of a processor for a host's worth of VMs.
    private static readonly TimeSpan DefaultTarget = TimeSpan.FromMinutes(2);
    private static readonly ByteSize LeastRate = new(20 * ByteSize.MiB);
    private static readonly ByteSize MostRate = new(2 * ByteSize.GiB);

    /// <summary>The file that remembers KSM's settings while a measurement has changed them: one for the host, writable by whoever may change them.</summary>
    internal static string LoanNote => Environment.GetEnvironmentVariable("KASLRMT_KSM_NOTE") is { Length: > 0 } chosen ? chosen : "/run/kaslrmt-ksm-before";

    public static Command Create() => new Command("ksm", "The host's memory deduplication (kernel samepage merging)") { Status(), On(), Off(), Tune() }
        .WithExamples("kaslrmt ksm status", "kaslrmt ksm tune", "kaslrmt ksm off");

    /// <summary>The host's KSM.</summary>
    internal static KsmFolder Open() => KsmFolder.Open(Environment.GetEnvironmentVariable("KASLRMT_KSM") is { Length: > 0 } chosen ? chosen : KsmFolder.DefaultPath);

    private static Command Status()
    {
        Option<bool> json = CommonOptions.Json(), watch = Watching.Create();
        var command = new Command("status", "Show what KSM does, saves and costs, for the host and for each VM, and why a VM cannot be merged") { watch, json };
        command.SetAction((parsed, cancellationToken) => Watching.RunAsync(
            parsed.InvocationConfiguration.Output,
            parsed.GetValue(watch),
            async () =>
            {
                KsmFolder ksm = Open();
                GiveBackLeftover(ksm, parsed.InvocationConfiguration.Error);
                KsmReport report = ReportOf(ksm, await RunningVms.ListAsync(parsed.InvocationConfiguration.Error).ConfigureAwait(false));
                Report.Show(parsed.InvocationConfiguration.Output, parsed.GetValue(json), report, ReportJson.Default.KsmReport, Print);
            },
            cancellationToken));
        return command.WithExamples("kaslrmt ksm status", "kaslrmt ksm status --watch", "kaslrmt ksm status --json | jq .savedBytes");
    }

    private static Command On()
    {
        Option<string?> rate = Rate();
        var command = new Command("on", "Start KSM, at the rate it is set to, or at one given here") { rate };
        command.SetAction(parsed => Change(parsed, parsed.GetValue(rate) is string text ? KsmSettings.AtRate(ReadRate(text)) : new KsmSettings([new(KsmSettings.Run, "1")])));
        return command.WithExamples("kaslrmt ksm on", "kaslrmt ksm on --rate 200M");
    }

    private static Command Off()
    {
        var unmerge = new Option<bool>("--unmerge") { Description = "Take apart what is merged. This needs as much free memory as is saved" };
        var command = new Command("off", "Stop KSM; what is merged stays merged") { unmerge };
        command.SetAction(parsed => Change(parsed, new KsmSettings([new(KsmSettings.Run, parsed.GetValue(unmerge) ? "2" : "0")])));
        return command.WithExamples("kaslrmt ksm off", "kaslrmt ksm off --unmerge");
    }

    private static Command Tune()
    {
        Option<string?> rate = Rate();
        Option<int> target = CommonOptions.Number(["--every"], standard: (int)DefaultTarget.TotalSeconds, least: 1, most: 86_400);
        target.Description = "Look through all VMs' memory once in that many seconds";
        target.HelpName = "SECONDS";
        var command = new Command(
            "tune",
            "Start KSM at a rate that suits a host of VMs: by the kernel's own advisor where it has one (6.8 on), else by the memory of the VMs that run now")
        {
            target, rate,
        };
        command.SetAction(parsed =>
        {
            KsmFolder ksm = Open();
            var every = TimeSpan.FromSeconds(parsed.GetValue(target));
            if (parsed.GetValue(rate) is string text)
            {
                return Change(parsed, KsmSettings.AtRate(ReadRate(text)));
            }

            ulong memory = RuntimeDirectory.Open().List().Aggregate(0UL, (sum, vm) => sum + (vm.State?.Memory ?? 0));
            long fitting = Math.Clamp((long)(memory / every.TotalSeconds), (long)LeastRate.Bytes, (long)MostRate.Bytes);
            return Change(parsed, ksm.Word(KsmSettings.AdvisorMode) is null ? KsmSettings.AtRate(fitting) : KsmSettings.WithAdvisor(every));
        });
        return command.WithExamples("kaslrmt ksm tune", "kaslrmt ksm tune --every 60", "kaslrmt ksm tune --rate 500M");
    }

    private static Option<string?> Rate() =>
        new Option<string?>("--rate") { Description = "Bytes to look at each second, such as 200M; turns the kernel's advisor off", HelpName = "SIZE" }.NotEmpty();

    private static long ReadRate(string text) => ByteSize.TryParse(text, out ByteSize rate) && rate.Bytes is > 0 and <= 1UL << 40
        ? (long)rate.Bytes
        : throw new KaslrMtException(CoreErrors.Usage, $"--rate '{Printable.Of(text, 40)}' is no rate", "give bytes a second, such as 200M");

    private static int Change(ParseResult parsed, KsmSettings settings)
    {
        KsmFolder ksm = Open();
        GiveBackLeftover(ksm, parsed.InvocationConfiguration.Error);

        // A measurement in another process would undo the change at its end.
        using (KsmSettingsLease.Check(ksm, LoanNote))
        {
            settings.ApplyTo(ksm);
        }

        KsmReport report = ReportOf(ksm, []);
        parsed.InvocationConfiguration.Output.WriteLine($"KSM is {report.State}{(report.State == "running" ? $", {Speed(report)}" : "")}");
        return ExitCode.Success;
    }

    private static void GiveBackLeftover(KsmFolder ksm, TextWriter error)
    {
        if (KsmSettingsLease.GiveBackLeftover(ksm, LoanNote))
        {
            error.WriteLine("kaslrmt: a measurement that was killed had changed KSM's settings: they are as before now");
        }
    }

    private static KsmReport ReportOf(KsmFolder ksm, IReadOnlyList<RunningVm> vms)
    {
        KsmCounters counters = KsmCounters.Read(ksm);
        bool advised = ksm.Word(KsmSettings.AdvisorMode) is string mode && mode != "none";
        long nap = ksm.Number(KsmSettings.SleepMilliseconds) ?? 0;
        return new KsmReport(
            ksm.Number(KsmSettings.Run) switch { 1 => "running", 2 => "unmerging", _ => "stopped" },
            advised || nap == 0 ? null : (ksm.Number(KsmSettings.PagesToScan) ?? 0) * PageSize * MillisecondsPerSecond / nap,
            advised ? ksm.Number(KsmSettings.AdvisorTarget) : null,
            counters.Shared,
            counters.Sharing,
            counters.Unshared,
            counters.Volatile,
            counters.ZeroPages,
            counters.FullScans,
            counters.SavedBytes,
            counters.Profit,
            [.. vms.Select(ReportOf).OfType<KsmReport.Vm>()]);
    }

    private static KsmReport.Vm? ReportOf(RunningVm vm) => vm.State?.ProcessId is int process && KsmProcess.Read(process) is { } merged
        ? new KsmReport.Vm(vm.Name, vm.State.Memory, merged.MergeableBytes, merged.MergedBytes, merged.Profit, merged.Advice(vm.State.Memory))
        : null;

    private static void Print(TextWriter output, KsmReport report)
    {
        Report.Facts(
            output,
            ("state", report.State),
            ("rate", Speed(report)),
            ("saved", Size(report.SavedBytes)),
            ("profit", report.ProfitBytes is long net ? $"{Size(net)} (saved less what KSM needs itself)" : ""),
            ("shared", Pages(report.PagesShared, "pages, each in use at several places")),
            ("sharing", Pages(report.PagesSharing, "further places: what is saved")),
            ("zero", report.ZeroPages is long zero ? Pages(zero, "pages of zeros, saved too") : ""),
            ("unshared", Pages(report.PagesUnshared, "pages without an equal")),
            ("volatile", Pages(report.PagesVolatile, "pages that change too fast")),
            ("full scans", report.FullScans.ToString(CultureInfo.InvariantCulture)));
        if (report.Vms.Count == 0)
        {
            return;
        }

        output.WriteLine();
        Table table = Report.Table("VM", ">RAM", ">mergeable", ">merged", ">profit");
        foreach (KsmReport.Vm vm in report.Vms)
        {
            table.Row(vm.Name, Size((long)vm.MemoryBytes), Size(vm.MergeableBytes), Size(vm.MergedBytes), vm.ProfitBytes is long profit ? Size(profit) : "");
        }

        Report.Print(output, table);
        foreach (KsmReport.Vm vm in report.Vms.Where(vm => vm.Advice is not null))
        {
            output.WriteLine($"{vm.Name}: {vm.Advice}");
        }
    }

    private static string Speed(KsmReport report) => report.AdvisorTargetSeconds is long seconds
        ? string.Create(CultureInfo.InvariantCulture, $"the kernel chooses it: all memory once in {seconds} s")
        : report.BytesPerSecond is long rate ? $"at most {Size(rate)} a second" : "without naps";

    private static string Pages(long count, string what) => string.Create(CultureInfo.InvariantCulture, $"{count} {what}");

    private static string Size(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)ByteSize.MiB:0.0} MiB");
}

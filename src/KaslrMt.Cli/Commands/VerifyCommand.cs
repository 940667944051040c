using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Vms;
using KaslrMt.Hypervisors;
using KaslrMt.Layout;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt verify</c>: does the guest's memory hold the layout it was given.</summary>
internal static class VerifyCommand
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    public static Command Create()
    {
        Argument<string> name = CommonOptions.VmName();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("verify", "Compare the layout a VM was given with what its memory holds, read from outside") { name, json };
        command.SetAction(async (parsed, cancellation) =>
        {
            RunningVm vm = await RunningVms.FindAsync(parsed.GetRequiredValue(name), parsed.InvocationConfiguration.Error).ConfigureAwait(false);
            VerifyReport report = await VerifyAsync(vm, cancellation).ConfigureAwait(false);
            Report.Show(parsed.InvocationConfiguration.Output, parsed.GetValue(json), report, ReportJson.Default.VerifyReport, Print);
            return report.Matches ? ExitCode.Success : ExitCode.CheckFailed;
        });
        return command.WithExamples("kaslrmt verify web1", "kaslrmt verify web1 --json");
    }

    private static async Task<VerifyReport> VerifyAsync(RunningVm vm, CancellationToken cancellation)
    {
        if (vm.State?.QemuProcess is not int process || IntendedLayout.ReadFrom(Path.GetDirectoryName(vm.MonitorSocket)!) is not { } intended)
        {
            throw new KaslrMtException(CommandErrors.NoLayout, $"'{vm.Name}' was given no layout: it is starting, or boots with its kernel's own KASLR");
        }

        QmpClient monitor = await QmpClient.ConnectAsync(vm.MonitorSocket, QmpClient.DefaultTimeout, cancellation).ConfigureAwait(false);
        await using (monitor.ConfigureAwait(false))
        {
            LayoutVerification found = await LayoutVerification.RunAsync(intended, monitor, process, Patience, cancellation).ConfigureAwait(false);
            return new VerifyReport(vm.Name, found.Matches, [.. found.Regions.Select(row => new VerifyReport.VerifiedRegion(
                row.Region.Name(),
                row.Scope.Name(),
                Hex(row.Intended),
                row.Observed is ulong observed ? Hex(observed) : null,
                row.Observed is null ? null : row.Observed == row.Intended))]);
        }
    }

    private static void Print(TextWriter output, VerifyReport report)
    {
        Table table = Report.Table("region", "scope", "intended", "observed", "");
        foreach (VerifyReport.VerifiedRegion row in report.Regions)
        {
            table.Row(row.Name, row.Scope, row.Intended, row.Observed ?? "not drawn yet", row.Matches switch { true => "ok", false => "DIFFERS", null => "" });
        }

        Report.Print(output, table);
        output.WriteLine(report.Matches ? $"{report.Name}: the guest's memory holds the layout it was given" : $"{report.Name}: MISMATCH");
    }

    private static string Hex(ulong value) => string.Create(CultureInfo.InvariantCulture, $"0x{value:x16}");
}

using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Vms;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt ps</c>: the running VMs of this user.</summary>
internal static class PsCommand
{
    public static Command Create()
    {
        Option<bool> json = CommonOptions.Json();
        var command = new Command("ps", "List running VMs, and clean up after owners that were killed") { json };
        command.SetAction(async (parsed, _) =>
        {
            IReadOnlyList<VmReport> vms = [.. (await RunningVms.ListAsync(parsed.InvocationConfiguration.Error).ConfigureAwait(false)).Select(vm => VmReport.Of(vm))];
            Report.Show(parsed.InvocationConfiguration.Output, parsed.GetValue(json), vms, ReportJson.Default.IReadOnlyListVmReport, Print);
            return ExitCode.Success;
        });
        return command.WithExamples("kaslrmt ps", "kaslrmt ps --json | jq -r '.[].name'");
    }

    private static void Print(TextWriter output, IReadOnlyList<VmReport> vms)
    {
        if (vms.Count == 0)
        {
            output.WriteLine("no VM runs");
            return;
        }

        Table table = Report.Table("name", "~tenant", "state", "mode", "~kernel", ">memory", ">owner", ">reboots", ">age");
        foreach (VmReport vm in vms)
        {
            table.Row(
                vm.Name,
                vm.Tenant ?? "-",
                vm.State,
                vm.Mode ?? "-",
                vm.Release ?? "-",
                vm.Memory ?? "-",
                vm.OwnerProcess?.ToString(CultureInfo.InvariantCulture) ?? "-",
                vm.Reboots?.ToString(CultureInfo.InvariantCulture) ?? "-",
                vm.Created is DateTimeOffset created ? Age(DateTimeOffset.UtcNow - created) : "-");
        }

        Report.Print(output, table);
    }

    private static string Age(TimeSpan age) => age switch
    {
        { TotalDays: >= 1 } => string.Create(CultureInfo.InvariantCulture, $"{(int)age.TotalDays}d{age.Hours}h"),
        { TotalHours: >= 1 } => string.Create(CultureInfo.InvariantCulture, $"{(int)age.TotalHours}h{age.Minutes}m"),
        { TotalMinutes: >= 1 } => string.Create(CultureInfo.InvariantCulture, $"{(int)age.TotalMinutes}m{age.Seconds}s"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{(int)Math.Max(0, age.TotalSeconds)}s"),
    };
}

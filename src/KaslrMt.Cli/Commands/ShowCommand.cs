using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Vms;
using KaslrMt.Hypervisors;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt show</c>: all about one VM but its secrets.</summary>
internal static class ShowCommand
{
    public static Command Create()
    {
        Argument<string> name = CommonOptions.VmName();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("show", "Show all about a running VM but its secrets") { name, json };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string wanted = parsed.GetRequiredValue(name);
            TextWriter error = parsed.InvocationConfiguration.Error;
            using AgentClient? host = RunningVms.TryFind(VmName.Check(wanted)) is null ? await AgentFinder.TryFindHostsAsync(error.WriteLine, cancellationToken).ConfigureAwait(false) : null;
            RunningVm? vm = host is null ? await RunningVms.FindAsync(wanted, error).ConfigureAwait(false) : null;
            VmInfo info = vm is null ? await host!.ShowAsync(wanted, cancellationToken).ConfigureAwait(false) : VmInfo.Of(vm, false);
            Report.Show(parsed.InvocationConfiguration.Output, parsed.GetValue(json), VmReport.Of(info), ReportJson.Default.VmReport, (output, shown) => Print(output, shown, vm));
            return ExitCode.Success;
        });
        return command.WithExamples("kaslrmt show web1", "kaslrmt show web1 --json");
    }

    private static void Print(TextWriter output, VmReport report, RunningVm? vm) => Report.Facts(
        output,
        ("name", report.Name),
        ("state", report.State),
        ("waits for a kernel", Printable.Of(report.Waiting ?? "")),
        ("mode", report.Mode ?? ""),
        ("tenant", report.Tenant ?? ""),
        ("tenant table", report.Store ?? ""),
        ("key's generation", report.Generation?.ToString(CultureInfo.InvariantCulture) ?? ""),
        ("kernel", report.Release ?? ""),
        ("kernel file", report.Kernel ?? ""),
        ("policy", report.Policy ?? (report.State == "running" ? "none: the kernel's own KASLR" : "")),
        ("memory", report.Memory ?? ""),
        ("machine", report.Machine ?? ""),
        ("accelerator", report.Accelerator ?? ""),
        ("free pages", report.FreePages ?? ""),
        ("owner", report.OwnerProcess is int owner ? string.Create(CultureInfo.InvariantCulture, $"process {owner}") : ""),
        ("QEMU", report.ProcessId is int qemu ? string.Create(CultureInfo.InvariantCulture, $"process {qemu}") : ""),
        ("monitor", vm is null ? "" : Hypervisor.Default.DescribeMonitor(vm)),
        ("console", Beside(vm, "console.sock")),
        ("log", Beside(vm, VmLog.FileName)),
        ("started", report.Created?.ToString("u", CultureInfo.InvariantCulture) ?? ""),
        ("reboots", report.Reboots?.ToString(CultureInfo.InvariantCulture) ?? ""));

    private static string Beside(RunningVm? vm, string name) => vm is not null && Path.Combine(vm.Folder, name) is var file && File.Exists(file) ? file : "";
}

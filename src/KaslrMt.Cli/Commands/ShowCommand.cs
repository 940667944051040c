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
        command.SetAction(async (parsed, _) =>
        {
            RunningVm vm = await RunningVms.FindAsync(parsed.GetRequiredValue(name), parsed.InvocationConfiguration.Error).ConfigureAwait(false);
            IntendedLayout? layout = IntendedLayout.ReadFrom(vm.Folder);
            RegistrationFile? place = RegistrationFile.TryReadFrom(vm.Folder);
            VmReport report = VmReport.Of(vm, layout is { Link: true } ? "nokaslr" : layout?.Policy) with { Store = place?.Store, Generation = place?.Generation };
            Report.Show(parsed.InvocationConfiguration.Output, parsed.GetValue(json), report, ReportJson.Default.VmReport, (output, shown) => Print(output, shown, vm));
            return ExitCode.Success;
        });
        return command.WithExamples("kaslrmt show web1", "kaslrmt show web1 --json");
    }

    private static void Print(TextWriter output, VmReport report, RunningVm vm) => Report.Facts(
        output,
        ("name", report.Name),
        ("state", report.State),
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
        ("monitor", Hypervisor.Default.DescribeMonitor(vm)),
        ("console", File.Exists(Beside(vm, "console.sock")) ? Beside(vm, "console.sock") : ""),
        ("log", File.Exists(Beside(vm, VmLog.FileName)) ? Beside(vm, VmLog.FileName) : ""),
        ("started", report.Created?.ToString("u", CultureInfo.InvariantCulture) ?? ""),
        ("reboots", report.Reboots?.ToString(CultureInfo.InvariantCulture) ?? ""));

    private static string Beside(RunningVm vm, string name) => Path.Combine(vm.Folder, name);
}

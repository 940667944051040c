using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Hypervisors;
using KaslrMt.Layout;

namespace KaslrMt.Cli.Demo;

/// <summary><c>kaslrmt demo</c>: two tenants with two VMs each, on real kernels.</summary>
internal static class DemoCommand
{
    private const int VmsPerTenant = 2;

    private static readonly string[] Tenants = ["acme", "globex"];

    public static Command Create()
    {
        var kernels = new Option<string>("--kernels")
        {
            Description = "Where eng/kernels.sh put 6.1-cloud and 6.12-cloud",
            HelpName = "FOLDER",
            DefaultValueFactory = _ => DemoKernel.DefaultFolder,
        };
        Option<bool> json = CommonOptions.Json();
        var command = new Command("demo", "Boot two tenants' VMs on real kernels and show what they share") { kernels, json };
        command.SetAction(async (parsed, _) =>
        {
            using var signals = new OwnerSignals();
            DemoReport report = await RunAsync(
                DemoKernel.FindIn(parsed.GetRequiredValue(kernels)), parsed.InvocationConfiguration.Error, signals.StopRequested).ConfigureAwait(false);
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(json))
            {
                Report.Json(output, report, ReportJson.Default.DemoReport);
            }
            else
            {
                DemoTable.Print(output, report);
            }

            return report.Ok ? ExitCode.Success : ExitCode.CheckFailed;
        });
        return command.WithExamples("kaslrmt demo", "kaslrmt demo --json");
    }

    private static async Task<DemoReport> RunAsync(IReadOnlyList<DemoKernel> kernels, TextWriter progress, CancellationToken stop)
    {
        AcceleratorChoice accelerator = AcceleratorChoice.Decide(Accelerator.Auto);
        RuntimeDirectory runtime = RuntimeDirectory.Open();
        runtime.Sweep();
        var rows = new List<DemoReport.KernelRow>();
        foreach (DemoKernel kernel in kernels)
        {
            rows.Add(await RunAsync(kernel, runtime, accelerator, progress, stop).ConfigureAwait(false));
        }

        return new DemoReport(rows.All(row => row.Ok), $"{accelerator.Argument} ({accelerator.Reason})", rows);
    }

    private static async Task<DemoReport.KernelRow> RunAsync(
        DemoKernel kernel, RuntimeDirectory runtime, AcceleratorChoice accelerator, TextWriter progress, CancellationToken stop)
    {
        string initramfs = Path.Combine(Directory.CreateTempSubdirectory("kaslrmt-demo-").FullName, "initramfs");
        var vms = new List<DemoVm>();
        try
        {
            kernel.WriteInitramfs(initramfs);
            foreach (string tenant in Tenants)
            {
                using TenantKey key = TenantKey.Generate();

                // The first VM prepares the tenant's kernel, the second finds it prepared.
                for (int number = 1; number <= VmsPerTenant; number++)
                {
                    DemoVm vm = await DemoVm.BootAsync(kernel, initramfs, tenant, key, number, runtime, accelerator, stop).ConfigureAwait(false);
                    vms.Add(vm);
                    await progress.WriteLineAsync(string.Create(
                        CultureInfo.InvariantCulture,
                        $"  {kernel.Name}: {tenant}'s {vm.Report.Name} booted and checked ({vms.Count} of {Tenants.Length * VmsPerTenant})")).ConfigureAwait(false);
                }
            }

            IReadOnlyList<DemoReport.VmRow> reports = [.. vms.Select(vm => vm.Report)];
            return new DemoReport.KernelRow(kernel.Name, vms[0].Release, Policy.Default.ToString(), DemoTable.PromiseHolds(reports), reports);
        }
        finally
        {
            foreach (DemoVm vm in vms)
            {
                await vm.DisposeAsync().ConfigureAwait(false);
            }

            Directory.Delete(Path.GetDirectoryName(initramfs)!, recursive: true);
        }
    }
}

using System.CommandLine;
using System.Globalization;
using KaslrMt.Cli;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Hypervisors;
using KaslrMt.Lab.Experiments;
using KaslrMt.Layout;
using KaslrMt.Sharing;

namespace KaslrMt.Lab.Demo;

/// <summary><c>kaslrmt-lab demo</c>: two tenants with two VMs each, on real kernels.</summary>
internal static class DemoCommand
{
    private const int VmsPerTenant = 2;

    private static readonly TimeSpan BootPatience = TimeSpan.FromMinutes(3);
    private static readonly string[] Tenants = ["acme", "globex"];

    public static Command Create()
    {
        var kernels = new Option<string>("--kernels")
        {
            Description = "Where eng/kernels.sh put 6.1-cloud and 6.12-cloud",
            HelpName = "FOLDER",
            DefaultValueFactory = _ => DemoKernel.DefaultFolder,
        };
        var names = new Option<string[]>("--kernel")
        {
            Description = "Take these of that folder only",
            HelpName = "NAME",
            AllowMultipleArgumentsPerToken = true,
            DefaultValueFactory = _ => [.. DemoKernel.Standard],
        };
        Option<bool> json = CommonOptions.Json();
        var command = new Command(
            "demo", "Boot two tenants' VMs on real kernels, show that they have the layouts they should have, and what that saves: equal pages and the host's KSM")
        {
            kernels, names, json,
        };
        command.SetAction(async (parsed, _) =>
        {
            using var signals = new OwnerSignals();
            DemoReport report = await RunAsync(
                DemoKernel.FindIn(parsed.GetRequiredValue(kernels), parsed.GetRequiredValue(names)), parsed.InvocationConfiguration.Error, signals.StopRequested).ConfigureAwait(false);
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(json))
            {
                Report.Json(output, report, LabJson.Default.DemoReport);
            }
            else
            {
                DemoTable.Print(output, report);
            }

            return report.Ok ? ExitCode.Success : ExitCode.CheckFailed;
        });
        return command.WithExamples("kaslrmt-lab demo", "kaslrmt-lab demo --kernel 6.12-cloud", "kaslrmt-lab demo --json");
    }

    private static async Task<DemoReport> RunAsync(IReadOnlyList<DemoKernel> kernels, TextWriter progress, CancellationToken cancellationToken)
    {
        ExperimentHost host = ExperimentHost.Open(BootPatience);
        var rows = new List<DemoReport.KernelRow>();
        (KsmFolder Folder, KsmSettingsLease Loan)? ksm = DemoSharing.BorrowKsm(out string? reason);
        using (ksm?.Loan)
        {
            foreach (DemoKernel kernel in kernels)
            {
                rows.Add(await RunAsync(kernel, host, ksm, progress, cancellationToken).ConfigureAwait(false));
            }
        }

        return new DemoReport(rows.All(row => row.Ok), $"{host.Accelerator.Argument} ({host.Accelerator.Reason})", rows, reason);
    }

    private static async Task<DemoReport.KernelRow> RunAsync(
        DemoKernel kernel, ExperimentHost host, (KsmFolder Folder, KsmSettingsLease Loan)? ksm, TextWriter progress, CancellationToken cancellationToken)
    {
        string initramfs = Path.Combine(Directory.CreateTempSubdirectory("kaslrmt-demo-").FullName, "initramfs");
        var vms = new List<DemoVm>();
        try
        {
            kernel.WriteInitramfs(initramfs);
            long before = host.FilesInMemory, files = 0;
            foreach (string tenant in Tenants)
            {
                using TenantKey key = TenantKey.Generate();

                // The first VM prepares the tenant's kernel, the second finds it prepared.
                for (int number = 1; number <= VmsPerTenant; number++)
                {
                    DemoVm vm = await DemoVm.BootAsync(kernel, initramfs, tenant, key, number, host, cancellationToken).ConfigureAwait(false);
                    vms.Add(vm);
                    await progress.WriteLineAsync(string.Create(
                        CultureInfo.InvariantCulture,
                        $"  {kernel.Name}: {tenant}'s {vm.Report.Name} booted and checked ({vms.Count} of {Tenants.Length * VmsPerTenant})")).ConfigureAwait(false);
                }

                files = files > 0 ? files : Math.Max(host.FilesInMemory - before, 0);
            }

            IReadOnlyList<DemoReport.VmRow> reports = [.. vms.Select(vm => vm.Report)];
            IReadOnlyList<DemoReport.PairRow> pairs = await CompareAsync(new DemoSharing(kernel, initramfs, host, ksm), kernel, vms, files, progress, cancellationToken).ConfigureAwait(false);
            return new DemoReport.KernelRow(kernel.Name, vms[0].Release, Policy.Default.ToString(), DemoTable.PromiseHolds(reports), reports, pairs);
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

    private static async Task<IReadOnlyList<DemoReport.PairRow>> CompareAsync(
        DemoSharing sharing, DemoKernel kernel, List<DemoVm> vms, long files, TextWriter progress, CancellationToken cancellationToken)
    {
        await progress.WriteLineAsync($"  {kernel.Name}: comparing their pages, and those of two VMs each without KASLR and with the kernel's own").ConfigureAwait(false);
        IReadOnlyList<DemoReport.PairRow> tenants = await sharing.CompareTenantsAsync(vms[..VmsPerTenant], vms[VmsPerTenant..], files, cancellationToken).ConfigureAwait(false);
        DemoReport.PairRow off = await sharing.CompareAsync(GuestLayout.Off, cancellationToken).ConfigureAwait(false);
        return [off, .. tenants, await sharing.CompareAsync(GuestLayout.Stock, cancellationToken).ConfigureAwait(false)];
    }
}

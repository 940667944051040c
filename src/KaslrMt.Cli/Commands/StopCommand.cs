using System.CommandLine;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Vms;
using KaslrMt.Hypervisors;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt stop</c>: ends a VM from another terminal.</summary>
internal static class StopCommand
{
    private static readonly TimeSpan QuitPatience = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(50);

    public static Command Create()
    {
        Argument<string> name = CommonOptions.VmName();
        Option<int> grace = CommonOptions.Number(["--grace"], standard: 10, least: 0, most: 86400);
        grace.Description = "Seconds the guest may take to power off; 0 ends it at once";
        grace.HelpName = "SECONDS";
        var command = new Command("stop", "Stop a running VM: ask its guest to power off, then end it") { name, grace };
        command.SetAction(async (parsed, cancellation) =>
        {
            RunningVm vm = await RunningVms.FindAsync(parsed.GetRequiredValue(name), parsed.InvocationConfiguration.Error).ConfigureAwait(false);
            await StopAsync(vm, TimeSpan.FromSeconds(parsed.GetValue(grace)), cancellation).ConfigureAwait(false);
            return ExitCode.Success;
        });
        return command.WithExamples("kaslrmt stop web1", "kaslrmt stop web1 --grace 0");
    }

    private static async Task StopAsync(RunningVm vm, TimeSpan grace, CancellationToken cancellation)
    {
        if (grace > TimeSpan.Zero)
        {
            await TellAsync(vm, "system_powerdown", cancellation).ConfigureAwait(false);
            if (await EndsWithinAsync(vm, grace, cancellation).ConfigureAwait(false))
            {
                return;
            }
        }

        await TellAsync(vm, "quit", cancellation).ConfigureAwait(false);
        if (!await EndsWithinAsync(vm, QuitPatience, cancellation).ConfigureAwait(false))
        {
            throw new KaslrMtException(HypervisorErrors.MonitorTimeout, $"'{vm.Name}' did not end", $"end its owner, process {vm.State?.OwnerProcess}");
        }
    }

    private static async Task TellAsync(RunningVm vm, string what, CancellationToken cancellation)
    {
        try
        {
            QmpClient monitor = await QmpClient.ConnectAsync(vm.MonitorSocket, QmpClient.DefaultTimeout, cancellation).ConfigureAwait(false);
            await using (monitor.ConfigureAwait(false))
            {
                await monitor.ExecuteAsync(what, cancellation: cancellation).ConfigureAwait(false);
            }
        }
        catch (KaslrMtException error) when (error.Code == HypervisorErrors.MonitorClosed)
        {
            // It is ending already.
        }
    }

    // The owner removes the folder once QEMU is gone: then nothing is left.
    private static async Task<bool> EndsWithinAsync(RunningVm vm, TimeSpan time, CancellationToken cancellation)
    {
        string folder = Path.GetDirectoryName(vm.MonitorSocket)!;
        for (long start = Environment.TickCount64; Environment.TickCount64 - start < time.TotalMilliseconds;)
        {
            if (!Directory.Exists(folder))
            {
                return true;
            }

            if (vm.State is { Detached: true, OwnerLives: false })
            {
                // No supervisor will clean up.
                RuntimeDirectory.Open().Sweep();
            }

            await Task.Delay(Interval, cancellation).ConfigureAwait(false);
        }

        return !Directory.Exists(folder);
    }
}

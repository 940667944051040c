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
        if (grace > TimeSpan.Zero && await EndsWithinAsync(vm, "system_powerdown", repeat: false, grace, cancellation).ConfigureAwait(false))
        {
            return;
        }

        if (!await EndsWithinAsync(vm, "quit", repeat: true, QuitPatience, cancellation).ConfigureAwait(false))
        {
            throw new KaslrMtException(HypervisorErrors.MonitorTimeout, $"'{vm.Name}' did not end", $"end its owner, process {vm.State?.OwnerProcess}");
        }
    }

    // While a VM starts, and between a guest's reboots, there is no monitor yet: it is told as soon as there is one. A quit is repeated, for
    // the QEMU that was told may have been one whose guest was just rebooting.
    private static async Task<bool> EndsWithinAsync(RunningVm vm, string command, bool repeat, TimeSpan time, CancellationToken cancellation)
    {
        bool told = false;
        for (long start = Environment.TickCount64; Environment.TickCount64 - start < time.TotalMilliseconds;)
        {
            if (HasEnded(vm))
            {
                return true;
            }

            told = (told && !repeat) || await TellAsync(vm, command, cancellation).ConfigureAwait(false);
            await Task.Delay(Interval, cancellation).ConfigureAwait(false);
        }

        return HasEnded(vm);
    }

    private static async Task<bool> TellAsync(RunningVm vm, string command, CancellationToken cancellation)
    {
        try
        {
            QmpClient monitor = await QmpClient.ConnectAsync(vm.MonitorSocket, QmpClient.DefaultTimeout, cancellation).ConfigureAwait(false);
            await using (monitor.ConfigureAwait(false))
            {
                await monitor.ExecuteAsync(command, cancellation: cancellation).ConfigureAwait(false);
                return true;
            }
        }
        catch (KaslrMtException error) when (error.Code == HypervisorErrors.MonitorClosed)
        {
            // It is ending already, or starting.
            return false;
        }
    }

    // The owner removes the folder once QEMU is gone; the name may belong to another VM by then, which is not ours to stop. A detached VM's
    // owner may change while it runs, its creation does not.
    private static bool HasEnded(RunningVm vm) =>
        RunningVms.TryFind(vm.Name) is not { } now
        || (vm.State is { } then && now.State is { } state && state.Created != then.Created);
}

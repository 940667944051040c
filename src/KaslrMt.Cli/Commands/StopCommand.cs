using System.CommandLine;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Tables;
using KaslrMt.Cli.Vms;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt stop</c>: ends a VM from another terminal.</summary>
internal static class StopCommand
{
    // An owner whose store does not answer tries for up to 20 s to take the VM out of the table before it ends.
    private static readonly TimeSpan QuitPatience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(50);

    public static Command Create()
    {
        Argument<string> name = CommonOptions.VmName();
        Option<int> grace = CommonOptions.Number(["--grace"], standard: 10, least: 0, most: 86400);
        grace.Description = "Seconds the guest may take to power off; 0 ends it at once";
        grace.HelpName = "SECONDS";
        var command = new Command("stop", "Stop a running VM: ask its guest to power off, then end it") { name, grace };
        var forget = new Option<bool>("--forget")
        {
            Description = "Only take a VM that is in doubt out of the tenant table. Your word that it runs nowhere",
        };
        Option<string?> store = StoreOption.Create();
        command.Options.Add(forget);
        command.Options.Add(store);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            if (parsed.GetValue(forget))
            {
                TextWriter error = parsed.InvocationConfiguration.Error;
                return await ForgetAsync(parsed.GetRequiredValue(name), StoreOption.Read(parsed, store), error, cancellationToken).ConfigureAwait(false);
            }

            if (parsed.GetValue(store) is not null)
            {
                throw new KaslrMtException(CoreErrors.Usage, "--store goes with --forget only", "leave it out: a running VM's owner knows its store");
            }

            string wanted = VmName.Check(parsed.GetRequiredValue(name));
            using AgentClient? host = RunningVms.TryFind(wanted) is null ? await AgentFinder.TryFindHostsAsync(parsed.InvocationConfiguration.Error.WriteLine, cancellationToken).ConfigureAwait(false) : null;
            if (host is not null)
            {
                await host.StopAsync(wanted, new StopRequest(parsed.GetValue(grace)), parsed.InvocationConfiguration.Error.WriteLine, cancellationToken).ConfigureAwait(false);
                return ExitCode.Success;
            }

            RunningVm vm = await RunningVms.FindAsync(wanted, parsed.InvocationConfiguration.Error).ConfigureAwait(false);
            if (vm.State is { Moving: true, ProcessId: null, OwnerProcess: var owner })
            {
                throw new KaslrMtException(
                    VmErrors.NoSuchVm, $"'{vm.Name}' does not run here yet: it is awaited, or being restored", $"Ctrl-C to 'kaslrmt receive', or end the process that awaits it, {owner}");
            }

            if (vm.State is not { Detached: true } || !await StopDetachedAsync(vm, parsed.GetValue(grace), parsed.InvocationConfiguration.Error, cancellationToken).ConfigureAwait(false))
            {
                await StopAsync(vm, TimeSpan.FromSeconds(parsed.GetValue(grace)), cancellationToken).ConfigureAwait(false);
            }

            return ExitCode.Success;
        });
        return command.WithExamples("kaslrmt stop web1", "kaslrmt stop web1 --grace 0", "kaslrmt stop web1 --forget");
    }

    /// <returns>False when no agent supervises the VM: it is told itself then.</returns>
    private static async Task<bool> StopDetachedAsync(RunningVm vm, int grace, TextWriter error, CancellationToken cancellationToken)
    {
        using AgentClient? agent = await AgentFinder.TryFindAsync(error.WriteLine, cancellationToken).ConfigureAwait(false);
        if (agent is null)
        {
            return false;
        }

        try
        {
            await agent.StopAsync(vm.Name, new StopRequest(grace), error.WriteLine, cancellationToken).ConfigureAwait(false);
            return true;
        }
        catch (KaslrMtException gone) when (gone.Code.Number == VmErrors.NoSuchVm.Number)
        {
            return HasEnded(vm);
        }
    }

    private static async Task<int> ForgetAsync(string name, TableSettings settings, TextWriter error, CancellationToken cancellationToken)
    {
        TableNames.Check(name, "VM");
        if ((await RunningVms.ListAsync(error).ConfigureAwait(false)).Any(vm => vm.Name == name))
        {
            throw new KaslrMtException(CoreErrors.Usage, $"'{name}' runs here, and --forget is for VMs that do not", $"kaslrmt stop {name}");
        }

        await using TenantTable table = await OpenTable.ReconciledAsync(OpenTable.Impatient(settings), new LineLogger(error.WriteLine), cancellationToken).ConfigureAwait(false);
        using Outcome outcome = await table.ForgetAsync(name, cancellationToken).ConfigureAwait(false);
        return ExitCode.Success;
    }

    private static async Task StopAsync(RunningVm vm, TimeSpan grace, CancellationToken cancellationToken)
    {
        if (grace > TimeSpan.Zero && await EndsWithinAsync(vm, (connection, token) => connection.RequestPowerOffAsync(token), repeat: false, grace, cancellationToken).ConfigureAwait(false))
        {
            return;
        }

        if (!await EndsWithinAsync(vm, (connection, token) => connection.QuitAsync(token), repeat: true, QuitPatience, cancellationToken).ConfigureAwait(false))
        {
            throw new KaslrMtException(HypervisorErrors.MonitorTimeout, $"'{vm.Name}' did not end", $"end its owner, process {vm.State?.OwnerProcess}");
        }
    }

    // While a VM starts, and between a guest's reboots, there is no monitor yet: it is told as soon as there is one. A quit is repeated, for
    // the QEMU that was told may have been one whose guest was just rebooting.
    private static async Task<bool> EndsWithinAsync(RunningVm vm, Func<IVmConnection, CancellationToken, Task> tell, bool repeat, TimeSpan time, CancellationToken cancellationToken)
    {
        bool told = false;
        for (long start = Environment.TickCount64; Environment.TickCount64 - start < time.TotalMilliseconds;)
        {
            if (HasEnded(vm))
            {
                return true;
            }

            told = (told && !repeat) || await TellAsync(vm, tell, cancellationToken).ConfigureAwait(false);
            await Task.Delay(Interval, cancellationToken).ConfigureAwait(false);
        }

        return HasEnded(vm);
    }

    private static async Task<bool> TellAsync(RunningVm vm, Func<IVmConnection, CancellationToken, Task> tell, CancellationToken cancellationToken)
    {
        try
        {
            IVmConnection connection = await Hypervisor.Default.OpenAsync(vm, cancellationToken).ConfigureAwait(false);
            await using (connection.ConfigureAwait(false))
            {
                await tell(connection, cancellationToken).ConfigureAwait(false);
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

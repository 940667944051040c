using System.CommandLine;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Vms.Detached;
using KaslrMt.Hypervisors;
using KaslrMt.Layout;
using KaslrMt.Tenants;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt supervise</c>, hidden: owns one detached VM from its start, or from its adoption, to its end.</summary>
internal static class SuperviseCommand
{
    private static readonly TimeSpan MonitorPatience = TimeSpan.FromSeconds(5);

    public static Command Create()
    {
        Argument<string> name = CommonOptions.VmName();
        var adopt = new Option<bool>(Supervisors.AdoptOption) { Description = "The VM runs already, and its supervisor died" };
        var arrive = new Option<bool>(Supervisors.ArriveOption) { Description = "The VM comes from a file or another host" };
        var command = new Command(Supervisors.Word, "Own a detached VM; 'kaslrmt run --detach' starts this") { name, adopt, arrive };
        command.Hidden = true;
        command.SetAction(async (parsed, _) =>
        {
            // Standard output is a pipe to who started this; reports are lines of their own there.
            var report = new SupervisorReport(Console.OpenStandardOutput());
            int code;
            try
            {
                code = parsed.GetValue(adopt)
                    ? await AdoptAsync(parsed.GetRequiredValue(name), report).ConfigureAwait(false)
                    : parsed.GetValue(arrive) ? await ArriveAsync(parsed.GetRequiredValue(name), report).ConfigureAwait(false)
                    : await StartAsync(parsed.GetRequiredValue(name), report).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                code = ExitCode.Interrupted;
            }
            catch (KaslrMtException failure)
            {
                report.Line($"kaslrmt: {failure.Code}: {Printable.Of(failure.Message, 2000)}");
                code = ExitCode.Of(failure.Category);
            }

            catch (Exception failure)
            {
                report.Line($"kaslrmt: {CoreErrors.Internal}: internal error ({failure.GetType().Name}) in the supervisor; {Debugging.Hint}");
                throw;
            }

            report.End(code);
            return code;
        });
        return command;
    }

    private static async Task<int> StartAsync(string name, SupervisorReport report)
    {
        (DetachedPlan plan, TenantKey? key, VmSeed? seed) = SupervisorOrder.Take(Console.OpenStandardInput());
        if (plan.Name != name)
        {
            throw new KaslrMtException(VmErrors.Supervisor, $"the order is for another VM than '{name}'");
        }

        Directory.SetCurrentDirectory(plan.WorkingDirectory);
        using LayoutRequest request = plan.ToRequest(key, seed, earlier: null);
        RuntimeDirectory runtime = RuntimeDirectory.Open();
        using VmFolder folder = runtime.Claim(name);
        plan.WriteTo(folder);
        using var signals = new OwnerSignals();
        using var log = new SupervisorLog(folder.Path, report);
        if (plan.Table is null)
        {
            return await OwnAsync(plan, request, runtime, folder, null, null, null, report, log, signals).ConfigureAwait(false);
        }

        await using VmRegistration place = await VmRegistration
            .TakeAsync(plan.Table, plan.Tenant!, name, request.Policy, log, signals.StopRequested).ConfigureAwait(false);
        request.Key = place.TakeKey();
        RegistrationFile.Of(place.Vm, plan.Table).WriteTo(folder);
        place.Renewed = vm => RegistrationFile.Of(vm, plan.Table!).WriteTo(folder);
        return await OwnAsync(plan, request, runtime, folder, null, null, place, report, log, signals).ConfigureAwait(false);
    }

    private static async Task<int> AdoptAsync(string name, SupervisorReport report)
    {
        RuntimeDirectory runtime = RuntimeDirectory.Open();
        if (runtime.TryAdopt(name) is not { } folder)
        {
            // Another supervisor was faster, or the VM has ended.
            return ExitCode.Success;
        }

        IVirtualMachine? running = null;
        try
        {
            DetachedPlan plan = DetachedPlan.ReadFrom(folder);
            VmRecord? record = plan.Table is null ? null : RegistrationFile.ReadFrom(folder).ToRecord(name);
            VmState state = folder.ReadState()!;
            if (state is { ProcessId: int process, ProcessStartTime: ulong start })
            {
                running = await Hypervisor.Default.AttachAsync(folder, process, start, MonitorPatience).ConfigureAwait(false);
                if (running is null)
                {
                    bool reboots = Hypervisor.Default.ReadEnd(folder.Path).Reason == ShutdownReason.Reboot;
                    if (!reboots || state.Moving || UserArguments.Parse(plan.HypervisorArguments).RebootEnds)
                    {
                        folder.Dispose();
                        return ExitCode.Success;
                    }

                    // The guest reset itself while it had no owner: it is booted anew, as by an owner that was there.
                    state = state with { Reboots = state.Reboots + 1, ProcessId = null, ProcessStartTime = null };
                    folder.WriteState(state);
                }
            }

            if (Directory.Exists(plan.WorkingDirectory))
            {
                Directory.SetCurrentDirectory(plan.WorkingDirectory);
            }

            if (running is not null && state.Moving)
            {
                (bool here, record) = await MigrationRecovery.RunAsync(plan.Table, record, running, folder).ConfigureAwait(false);
                if (!here)
                {
                    await running.DisposeAsync().ConfigureAwait(false);
                    folder.Dispose();
                    return ExitCode.Success;
                }

                state = folder.ReadState()! with { Moving = false };
                folder.WriteState(state);
            }

            using LayoutRequest request = plan.ToRequest(key: null, seed: null, IntendedLayout.ReadFrom(folder.Path)?.Draws());
            using var signals = new OwnerSignals();
            using (folder)
            {
                using var log = new SupervisorLog(folder.Path, report);
                await using VmRegistration? place = record is null ? null : VmRegistration.TakeOver(plan.Table!, record, log);
                if (place is not null)
                {
                    place.Renewed = vm => RegistrationFile.Of(vm, plan.Table!).WriteTo(folder);
                    await place.ReportAsync(running?.ProcessId, state.Release).ConfigureAwait(false);
                }

                report.End(ExitCode.Success);
                return await OwnAsync(plan, request, runtime, folder, state, running, place, report, log, signals).ConfigureAwait(false);
            }
        }
        catch
        {
            // Its QEMU, if there is one, goes on; the next command tries again.
            folder.Abandon();
            throw;
        }
    }

    private static async Task<int> ArriveAsync(string name, SupervisorReport report)
    {
        Stream input = Console.OpenStandardInput();
        IncomingRequest order = SupervisorOrder.TakeArrival(input);
        if (order.Name != name)
        {
            throw new KaslrMtException(VmErrors.Supervisor, $"the order is for another VM than '{name}'");
        }

        RuntimeDirectory runtime = RuntimeDirectory.Open();
        using VmFolder folder = runtime.Claim(name);
        folder.WriteState(VmState.OwnedByThisProcess(name) with { Detached = true, Moving = true });
        using var signals = new OwnerSignals();
        using var log = new SupervisorLog(folder.Path, report);
        using var waiting = CancellationTokenSource.CreateLinkedTokenSource(signals.StopRequested);
        _ = EndWithAsync(input, waiting);
        await using IncomingMigration arrival = order.File is not null
            ? await IncomingMigration.FromFileAsync(order, folder, log, waiting.Token).ConfigureAwait(false)
            : await IncomingMigration.FromHostAsync(order, folder, log, waiting.Token, signals.StopRequested).ConfigureAwait(false);
        return await OwnAsync(
            arrival.Plan, arrival.Request, runtime, folder, arrival.State, arrival.TakeVm(), arrival.Place, report, log, signals, arrival.Layout).ConfigureAwait(false);
    }

    // Whoever waits for the VM keeps the pipe open: its end means that nobody does any more.
    private static async Task EndWithAsync(Stream input, CancellationTokenSource waiting)
    {
        try
        {
            while (await input.ReadAsync(new byte[1]).ConfigureAwait(false) > 0)
            {
                // Nothing more is said there.
            }

            await waiting.CancelAsync().ConfigureAwait(false);
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            // The VM has come and gone.
        }
    }

    private static async Task<int> OwnAsync(
        DetachedPlan plan,
        LayoutRequest request,
        RuntimeDirectory runtime,
        VmFolder folder,
        VmState? adopted,
        IVirtualMachine? running,
        VmRegistration? place,
        SupervisorReport report,
        SupervisorLog log,
        OwnerSignals signals,
        IntendedLayout? arrived = null)
    {
        // A guest that reboots with another kernel needs it, and this supervisor may not have it.
        request.ReloadKey = place is null || request.Key is not null ? null : place.ReloadKey;
        var owner = new VmOwner(request, plan.ToOptions(folder), log)
        {
            Place = place,
            Arrived = arrived,
            Settled = verified => report.End(verified == false ? ExitCode.CheckFailed : ExitCode.Success),
        };
        var departure = new OutgoingMigration(plan, folder, place, owner);
        await using var control = new ControlServer(folder, departure.ObeyAsync);
        if (running is not null && arrived is null)
        {
            log.WriteLine($"kaslrmt: {plan.Name}: its supervisor had died; process {Environment.ProcessId} goes on in its place");
        }

        VmExit exit = await owner.RunAsync(runtime, folder, adopted, running, signals.StopRequested).ConfigureAwait(false);
        log.WriteLine($"kaslrmt: {plan.Name}: ended ({exit.Reason})");
        return RunCommand.Explain(exit, plan.Name, log, signals.StopRequested.IsCancellationRequested);
    }
}

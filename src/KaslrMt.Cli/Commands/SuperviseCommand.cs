using System.CommandLine;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Vms;
using KaslrMt.Cli.Vms.Detached;
using KaslrMt.Hypervisors;
using KaslrMt.Layout;

namespace KaslrMt.Cli.Commands;

/// <summary><c>kaslrmt supervise</c>, hidden: owns one detached VM from its start, or from its adoption, to its end.</summary>
internal static class SuperviseCommand
{
    private static readonly TimeSpan MonitorPatience = TimeSpan.FromSeconds(5);

    public static Command Create()
    {
        Argument<string> name = CommonOptions.VmName();
        var adopt = new Option<bool>(Supervisors.AdoptOption) { Description = "The VM runs already, and its supervisor died" };
        var command = new Command(Supervisors.Word, "Own a detached VM; 'kaslrmt run --detach' starts this") { name, adopt };
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
                    : await StartAsync(parsed.GetRequiredValue(name), report).ConfigureAwait(false);
            }
            catch (KaslrMtException failure)
            {
                report.Line($"kaslrmt: {failure.Code}: {Printable.Of(failure.Message, 2000)}");
                code = ExitCode.Of(failure.Category);
            }

            catch (Exception failure)
            {
                report.Line($"kaslrmt: {CommandErrors.Internal}: internal error ({failure.GetType().Name}) in the supervisor; {Debugging.Hint}");
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
            throw new KaslrMtException(CommandErrors.Supervisor, $"the order is for another VM than '{name}'");
        }

        Directory.SetCurrentDirectory(plan.WorkingDirectory);
        using LayoutRequest request = plan.ToRequest(key, seed, earlier: null);
        RuntimeDirectory runtime = RuntimeDirectory.Open();
        using VmFolder folder = runtime.Claim(name);
        plan.WriteTo(folder);
        return await OwnAsync(plan, request, runtime, folder, null, null, report).ConfigureAwait(false);
    }

    private static async Task<int> AdoptAsync(string name, SupervisorReport report)
    {
        RuntimeDirectory runtime = RuntimeDirectory.Open();
        if (runtime.TryAdopt(name) is not { } folder)
        {
            // Another supervisor was faster, or the VM has ended.
            return ExitCode.Success;
        }

        VirtualMachine? running = null;
        try
        {
            DetachedPlan plan = DetachedPlan.ReadFrom(folder);
            VmState state = folder.ReadState()!;
            if (state is { QemuProcess: int process, QemuStartTime: ulong start })
            {
                running = await VirtualMachine.AttachAsync(folder, process, start, MonitorPatience).ConfigureAwait(false);
                if (running is null)
                {
                    // It ended just now, and nobody heard why.
                    folder.Dispose();
                    return ExitCode.Success;
                }
            }

            report.End(ExitCode.Success);
            if (Directory.Exists(plan.WorkingDirectory))
            {
                Directory.SetCurrentDirectory(plan.WorkingDirectory);
            }

            using LayoutRequest request = plan.ToRequest(key: null, seed: null, IntendedLayout.ReadFrom(folder.Path)?.Draws());
            using (folder)
            {
                return await OwnAsync(plan, request, runtime, folder, state, running, report).ConfigureAwait(false);
            }
        }
        catch when (running is null)
        {
            folder.Abandon();
            throw;
        }
    }

    private static async Task<int> OwnAsync(
        DetachedPlan plan, LayoutRequest request, RuntimeDirectory runtime, VmFolder folder, VmState? adopted, VirtualMachine? running, SupervisorReport report)
    {
        using var signals = new OwnerSignals();
        using var log = new SupervisorLog(folder.Path, report);
        var owner = new VmOwner(request, plan.ToOptions(folder), log)
        {
            Settled = verified => report.End(verified == false ? ExitCode.CheckFailed : ExitCode.Success),
        };
        if (running is not null)
        {
            log.WriteLine($"kaslrmt: {plan.Name}: its supervisor had died; process {Environment.ProcessId} goes on in its place");
        }

        VmExit exit = await owner.RunAsync(runtime, folder, adopted, running, signals.StopRequested).ConfigureAwait(false);
        log.WriteLine($"kaslrmt: {plan.Name}: ended ({exit.Reason})");
        return RunCommand.Explain(exit, plan.Name, log, signals.StopRequested.IsCancellationRequested);
    }
}

using System.Collections.Concurrent;
using System.Globalization;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;
using KaslrMt.Vms;
using KaslrMt.Vms.Workers;

namespace KaslrMt.Agent;

/// <summary>All VMs that this agent supervises.</summary>
internal sealed class AgentVms
{
    private readonly ConcurrentDictionary<string, SupervisedVm> _vms = new(StringComparer.Ordinal);
    // What a client waits for an agent that has just started: most of it is the runtime's.
    private static readonly TimeSpan AnswerPatience = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(30);

    private readonly ConcurrentDictionary<string, int> _orphans = new(StringComparer.Ordinal);
    private readonly EventStream _events;
    private readonly ILogger _log;

    /// <summary>Begins with none.</summary>
    /// <param name="runtime">Where running VMs are kept.</param>
    /// <param name="events">Is told what happens.</param>
    /// <param name="log">Takes what concerns no single VM.</param>
    public AgentVms(RuntimeDirectory runtime, EventStream events, ILogger log)
    {
        _events = events;
        _log = log;
        Host = new VmHost(runtime, log)
        {
            // A build that compiles while it runs, as developers have it, cannot give up the right to make code.
            Worker = File.Exists($"{Environment.ProcessPath}.dll") ? null : new WorkerSettings(Environment.ProcessPath!, [AgentCommand.WorkerWord]),

            // Only the process that systemd itself started: everything below a service inherits INVOCATION_ID.
            UsesScopes = Environment.GetEnvironmentVariable("SYSTEMD_EXEC_PID") == Environment.ProcessId.ToString(CultureInfo.InvariantCulture) && Users.Effective == 0,
        };
    }

    /// <summary>Gets what the VMs share.</summary>
    public VmHost Host { get; }

    /// <summary>Gets how many VMs are supervised.</summary>
    public int Count => _vms.Count;

    /// <summary>Gets whether nothing is left to do: no VM is supervised, and none waits to be.</summary>
    public bool IsIdle => _vms.IsEmpty && _orphans.IsEmpty;

    /// <summary>Raised when a VM has ended and nothing of it is left.</summary>
    public event Action? Changed;

    /// <summary>Gets a VM that this agent supervises; null for any other.</summary>
    public SupervisedVm? Find(string name) => _vms.GetValueOrDefault(name);

    /// <summary>Gets all VMs of the runtime directory, those in the foreground too.</summary>
    public IReadOnlyList<VmInfo> List() => [.. Host.Runtime.List().Select(vm => new VmInfo(vm.Name, _vms.ContainsKey(vm.Name), vm.State))];

    /// <summary>
    /// Takes back every VM whose supervisor died, and says of those that ended meanwhile why they did. A VM that hangs delays no other, and this call for
    /// <see cref="AnswerPatience"/> only: it is tried again until it answers or is gone.
    /// </summary>
    public async Task AdoptAsync()
    {
        List<string> orphans = [];
        List<EndedVm> ended = [];
        Host.Runtime.Sweep(orphans, ended);
        foreach (EndedVm vm in ended)
        {
            _log.EndedWithoutAgent(vm.Name, vm.End.Reason);
            _events.Tell("ended", vm.Name, vm.State.Tenant, vm.End.Reason.ToString());
        }

        var all = Task.WhenAll(orphans.Select(name => Task.Run(() => AdoptAsync(name))));
        await Task.WhenAny(all, Task.Delay(AnswerPatience)).ConfigureAwait(false);
    }

    private async Task AdoptAsync(string name)
    {
        if (!_orphans.TryAdd(name, 0))
        {
            return;
        }

        ErrorCode? failure = null;
        for (TimeSpan pause = FirstPause; ; pause = pause < LongestPause ? pause * 2 : LongestPause)
        {
            try
            {
                if (SupervisedVm.Adopt(Host, name) is { } vm)
                {
                    Keep(vm, "adopted");
                    await vm.Running.ConfigureAwait(false);
                }

                break;
            }
            catch (Exception error)
            {
                // Whatever it was: no other VM, and not the agent, must suffer. Once for each reason: a hypervisor can hang for days.
                (ErrorCode code, string message) = error is KaslrMtException known ? (known.Code, known.Message) : (CoreErrors.Internal, error.GetType().Name);
                if (failure != code && Failures.IsInternal(error))
                {
                    _log.InternalError(error, code, $"while {name} was taken over");
                }
                else if (failure != code)
                {
                    _log.AdoptionFailed(code, name, message);
                }

                failure = code;
                await Task.Delay(pause).ConfigureAwait(false);
            }
        }

        _orphans.TryRemove(name, out _);
        Changed?.Invoke();
    }

    /// <summary>Starts a VM.</summary>
    public SupervisedVm Start(VmSpec spec, VmSecrets secrets, ProcessUser? user, Action<string> lines) =>
        Keep(SupervisedVm.Start(Host, spec, secrets, user, lines), "starting");

    /// <summary>Starts a VM from the file that it was saved to.</summary>
    public SupervisedVm Restore(string name, string file, TableSettings? table, ProcessUser? user, Action<string> lines) =>
        Keep(SupervisedVm.Restore(Host, name, file, table, user, lines), "restored");

    /// <summary>Takes a VM that another host sends.</summary>
    public SupervisedVm Receive(MigrationLink link, MigrationHeader header, HostTable table, ProcessUser? user, Action<string>? lines, CancellationToken cancellationToken) =>
        Keep(SupervisedVm.Receive(Host, link, header, table, user, lines, cancellationToken), "arrived");

    private SupervisedVm Keep(SupervisedVm vm, string how)
    {
        string name = vm.Spec.Name;
        _vms[name] = vm;
        _events.Tell(how, vm.Spec);
        _ = FollowAsync(vm, name);
        return vm;
    }

    private async Task FollowAsync(SupervisedVm vm, string name)
    {
        try
        {
            bool? verified = await vm.Running.ConfigureAwait(false);
            _events.Tell("running", vm.Spec);
            if (verified is bool holds)
            {
                _events.Tell(holds ? "verified" : "not-verified", vm.Spec);
            }
        }
        catch (Exception failure)
        {
            _events.Tell("failed", vm.Spec, failure is KaslrMtException known ? $"{known.Code}: {known.Message}" : failure.GetType().Name);
        }

        VmExit? exit = await vm.Ended.ConfigureAwait(false);
        _vms.TryRemove(new(name, vm));
        if (exit is not null)
        {
            _events.Tell("ended", vm.Spec, VmEndText.Describe(exit));
        }

        Changed?.Invoke();
    }
}

using KaslrMt.Hypervisors;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Agents;

/// <summary>The agent of one VM.</summary>
internal static class DetachedVms
{
    /// <summary>Gets the agent that supervises a VM.</summary>
    /// <exception cref="KaslrMtException">KMT9016: the VM runs in the foreground; KMT9024.</exception>
    public static Task<AgentClient> AgentOfAsync(RunningVm vm, TextWriter error, CancellationToken cancellationToken) => vm.State is { Detached: true }
        ? Agents.EnsureAsync(error, cancellationToken)
        : throw new KaslrMtException(VmErrors.CannotMove, $"'{vm.Name}' runs in the foreground, or is starting", "only a VM of 'kaslrmt run --detach' can be saved or migrated");
}

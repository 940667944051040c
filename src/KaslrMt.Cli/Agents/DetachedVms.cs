using KaslrMt.Cli.Vms;
using KaslrMt.Hypervisors;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Agents;

/// <summary>The agent of one VM.</summary>
internal static class DetachedVms
{
    /// <summary>Gets the agent that supervises the VM of a name: one's own, or the host's where this user has no such VM.</summary>
    /// <exception cref="KaslrMtException">KMT9006: there is no such VM; KMT9016: it runs in the foreground; KMT9024.</exception>
    public static async Task<AgentClient> AgentOfAsync(string name, TextWriter error, CancellationToken cancellationToken)
    {
        if (RunningVms.TryFind(VmName.Check(name)) is null && await AgentFinder.TryFindHostsAsync(error.WriteLine, cancellationToken).ConfigureAwait(false) is { } host)
        {
            return host;
        }

        return await AgentOfAsync(await RunningVms.FindAsync(name, error).ConfigureAwait(false), error, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Gets the agent that supervises a VM.</summary>
    /// <exception cref="KaslrMtException">KMT9016: the VM runs in the foreground; KMT9024.</exception>
    public static Task<AgentClient> AgentOfAsync(RunningVm vm, TextWriter error, CancellationToken cancellationToken) => vm.State is { Detached: true }
        ? AgentFinder.EnsureAsync(error.WriteLine, cancellationToken)
        : throw new KaslrMtException(VmErrors.CannotMove, $"'{vm.Name}' runs in the foreground, or is starting", "only a VM of 'kaslrmt run --detach' can be saved or migrated");
}

using KaslrMt.Cli.Vms.Detached;
using KaslrMt.Hypervisors;

namespace KaslrMt.Cli.Vms;

/// <summary>Finds running VMs for the commands that name one.</summary>
internal static class RunningVms
{
    /// <summary>All of them, after detached ones whose supervisor died have got a new one.</summary>
    /// <param name="error">Takes what goes wrong with those.</param>
    public static async Task<IReadOnlyList<RunningVm>> ListAsync(TextWriter error)
    {
        RuntimeDirectory runtime = RuntimeDirectory.Open();
        await Supervisors.AdoptOrphansAsync(runtime, error).ConfigureAwait(false);
        return runtime.List();
    }

    /// <summary>The VM of that name.</summary>
    /// <exception cref="KaslrMtException">KMT9006 when none runs under it.</exception>
    public static async Task<RunningVm> FindAsync(string name, TextWriter error)
    {
        VmName.Check(name);
        return (await ListAsync(error).ConfigureAwait(false)).FirstOrDefault(vm => vm.Name == name)
            ?? throw new KaslrMtException(CommandErrors.NoSuchVm, $"no VM named '{name}' runs", "see 'kaslrmt ps'");
    }

    /// <summary>The VM of that name, or null when none runs under it.</summary>
    public static RunningVm? TryFind(string name) => RuntimeDirectory.Open().List().FirstOrDefault(vm => vm.Name == name);
}

using KaslrMt.Hypervisors;

namespace KaslrMt.Cli.Vms;

/// <summary>Finds running VMs for the commands that name one.</summary>
internal static class RunningVms
{
    /// <summary>The VM of that name.</summary>
    /// <exception cref="KaslrMtException">KMT9006 when none runs under it.</exception>
    public static RunningVm Find(string name) =>
        TryFind(VmName.Check(name)) ?? throw new KaslrMtException(CommandErrors.NoSuchVm, $"no VM named '{name}' runs", "see 'kaslrmt ps'");

    /// <summary>The VM of that name, or null when none runs under it.</summary>
    public static RunningVm? TryFind(string name) => RuntimeDirectory.Open().List().FirstOrDefault(vm => vm.Name == name);
}

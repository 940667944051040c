using KaslrMt.Hypervisors;
using KaslrMt.Tenants;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Vms;

/// <summary>Finds running VMs for the commands that name one.</summary>
internal static class RunningVms
{
    /// <summary>All of them, after detached ones whose supervisor died have got a new one.</summary>
    /// <param name="error">Takes what goes wrong with those.</param>
    public static async Task<IReadOnlyList<RunningVm>> ListAsync(TextWriter error)
    {
        if (RuntimeDirectory.FindEarlier() is { } earlier)
        {
            await error.WriteLineAsync($"kaslrmt: VMs that an earlier version started are in {earlier}: KASLRMT_RUNTIME_DIR={earlier} kaslrmt ps").ConfigureAwait(false);
        }

        RuntimeDirectory runtime = RuntimeDirectory.Open();
        await Agents.Orphans.AdoptAsync(runtime, error).ConfigureAwait(false);
        return runtime.ListSwept();
    }

    /// <summary>The VM of that name.</summary>
    /// <exception cref="KaslrMtException">KMT9006 when none runs under it; the message tells where the tenant table has it.</exception>
    public static async Task<RunningVm> FindAsync(string name, TextWriter error)
    {
        VmName.Check(name);
        return (await ListAsync(error).ConfigureAwait(false)).FirstOrDefault(vm => vm.Name == name)
            ?? throw await MissingAsync(name).ConfigureAwait(false);
    }

    /// <summary>The VM of that name, or null when none runs under it.</summary>
    public static RunningVm? TryFind(string name) => RuntimeDirectory.Open().List().FirstOrDefault(vm => vm.Name == name);

    private static async Task<KaslrMtException> MissingAsync(string name)
    {
        var missing = new KaslrMtException(VmErrors.NoSuchVm, $"no VM named '{name}' runs here", "see 'kaslrmt ps'");
        try
        {
            TableSettings settings = StoreSettings.Read(null);
            if (!StoreSettings.IsInUse(settings))
            {
                return missing;
            }

            await using TenantTable table = await TenantTable.OpenAsync(OpenTable.Impatient(settings)).ConfigureAwait(false);
            if (await table.Store.FindVmAsync(name).ConfigureAwait(false) is not { } vm)
            {
                return missing;
            }

            string host = (await table.Store.HostsAsync().ConfigureAwait(false)).FirstOrDefault(known => known.Id == vm.Host) is { } found ? $"{found.Name} ({found.Id})" : vm.Host;
            return vm switch
            {
                { Status: VmStatus.Saved } => new(VmErrors.NoSuchVm, $"'{name}' is saved, on host {host}", $"kaslrmt restore {name}, or kaslrmt stop {name} --forget to give it up"),
                _ when vm.Host != table.Host.Id => new(VmErrors.NoSuchVm, $"'{name}' runs on host {host}, not here", "give the command there"),
                _ => new(
                    VmErrors.NoSuchVm,
                    $"the tenant table has '{name}' on this host, and it is not in this runtime directory",
                    $"look in another KASLRMT_RUNTIME_DIR or container; if it runs nowhere: kaslrmt stop {name} --forget"),
            };
        }
        catch (KaslrMtException away) when (away.Code != VmErrors.NoSuchVm)
        {
            return new(VmErrors.NoSuchVm, $"no VM named '{name}' runs here, and where the tenant table has it is not known ({away.Problem})", "see 'kaslrmt ps'", away);
        }
    }
}

using KaslrMt.Hypervisors;
using KaslrMt.Tenants;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Tables;

/// <summary>Opens the tenant table for one command.</summary>
internal static class CommandTable
{
    /// <summary>Opens it, gives detached VMs without a supervisor a new one, and takes out VMs whose processes are gone.</summary>
    /// <param name="settings">Where it is.</param>
    /// <param name="error">Takes what was settled.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <param name="patiently">For what takes long in a large store, and is no look at it.</param>
    public static async Task<TenantTable> ForCommandAsync(TableSettings settings, TextWriter error, CancellationToken cancellationToken, bool patiently = false)
    {
        // First: a new supervisor tells the table of its process, so that its VM is not taken for gone.
        await Agents.Orphans.AdoptAsync(RuntimeDirectory.Open(), error).ConfigureAwait(false);
        return await OpenTable.ReconciledAsync(patiently ? settings : OpenTable.Impatient(settings), new LineLogger(error.WriteLine), cancellationToken).ConfigureAwait(false);
    }
}

using KaslrMt.Cli.Vms.Detached;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;

namespace KaslrMt.Cli.Tables;

/// <summary>Opens the table for one command, which first settles what can be proven on this host.</summary>
internal static class OpenTable
{
    /// <summary>Opens it, gives detached VMs without a supervisor a new one, and takes out VMs whose processes are gone.</summary>
    /// <param name="settings">Where it is.</param>
    /// <param name="error">Takes what was settled.</param>
    /// <param name="cancel">Gives up.</param>
    public static async Task<TenantTable> ForCommandAsync(TableSettings settings, TextWriter error, CancellationToken cancel)
    {
        // First: a new supervisor tells the table of its process, so that its VM is not taken for gone.
        await Supervisors.AdoptOrphansAsync(RuntimeDirectory.Open(), error).ConfigureAwait(false);
        return await ReconciledAsync(settings, error, cancel).ConfigureAwait(false);
    }

    /// <summary>Opens it, and takes out VMs whose processes are gone.</summary>
    public static async Task<TenantTable> ReconciledAsync(TableSettings settings, TextWriter error, CancellationToken cancel)
    {
        TenantTable table = await TenantTable.OpenAsync(settings, cancel).ConfigureAwait(false);
        try
        {
            foreach (VmRecord gone in await table.ReconcileAsync(cancel).ConfigureAwait(false))
            {
                await error.WriteLineAsync($"kaslrmt: {gone.Name} of {gone.Tenant}: its processes are gone; it counts no more").ConfigureAwait(false);
            }

            return table;
        }
        catch
        {
            await table.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }
}

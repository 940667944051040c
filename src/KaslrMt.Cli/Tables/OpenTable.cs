using KaslrMt.Cli.Vms.Detached;
using KaslrMt.Hypervisors;
using KaslrMt.Tenants;

namespace KaslrMt.Cli.Tables;

/// <summary>Opens the table for one command, which first settles what can be proven on this host.</summary>
internal static class OpenTable
{
    // Who looks at a table waits seconds for an etcd that is away, not as long as a VM's start, which outlasts an election.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan RequestPatience = TimeSpan.FromSeconds(2);

    /// <summary>The same table, with a person's patience.</summary>
    public static TableSettings Impatient(TableSettings settings) =>
        settings with { Etcd = settings.Etcd with { Patience = Patience, RequestTimeout = RequestPatience } };

    /// <summary>Opens it, gives detached VMs without a supervisor a new one, and takes out VMs whose processes are gone.</summary>
    /// <param name="settings">Where it is.</param>
    /// <param name="error">Takes what was settled.</param>
    /// <param name="cancel">Gives up.</param>
    /// <param name="patiently">For what takes long in a large store, and is no look at it.</param>
    public static async Task<TenantTable> ForCommandAsync(TableSettings settings, TextWriter error, CancellationToken cancel, bool patiently = false)
    {
        // First: a new supervisor tells the table of its process, so that its VM is not taken for gone.
        await Supervisors.AdoptOrphansAsync(RuntimeDirectory.Open(), error).ConfigureAwait(false);
        return await ReconciledAsync(patiently ? settings : Impatient(settings), error, cancel).ConfigureAwait(false);
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

using KaslrMt.Tenants;
using Microsoft.Extensions.Logging;

namespace KaslrMt.Vms;

/// <summary>Opens the table, and first settles what can be proven on this host.</summary>
internal static class OpenTable
{
    // Who looks at a table waits seconds for an etcd that is away, not as long as a VM's start, which outlasts an election.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan RequestPatience = TimeSpan.FromSeconds(2);

    /// <summary>The same table, with a person's patience.</summary>
    public static TableSettings Impatient(TableSettings settings) =>
        settings with { Etcd = settings.Etcd with { Patience = Patience, RequestTimeout = RequestPatience } };

    /// <summary>Opens it, and takes out VMs whose processes are gone.</summary>
    public static async Task<TenantTable> ReconciledAsync(TableSettings settings, ILogger log, CancellationToken cancellationToken)
    {
        TenantTable table = await TenantTable.OpenAsync(settings, cancellationToken).ConfigureAwait(false);
        try
        {
            await ReconcileAsync(table, log, cancellationToken).ConfigureAwait(false);
            return table;
        }
        catch
        {
            await table.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Takes VMs out of the table whose processes on this host are gone.</summary>
    public static async Task ReconcileAsync(TenantTable table, ILogger log, CancellationToken cancellationToken)
    {
        foreach (VmRecord gone in await table.ReconcileAsync(cancellationToken).ConfigureAwait(false))
        {
            log.CountsNoMore(gone.Name, gone.Tenant);
        }
    }
}

using KaslrMt.Tenants;
using Microsoft.Extensions.Logging;

namespace KaslrMt.Vms;

/// <summary>The tenant tables that the VMs of one process are in: one connection and one lease for each, however many VMs.</summary>
/// <param name="log">Takes when a table is away and back.</param>
internal sealed class HostTables(ILogger log) : IAsyncDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<TableSettings, HostTable> _open = [];

    /// <summary>The kinds of stores that can be opened.</summary>
    public TenantStoreRegistry Stores { get; init; } = TenantStoreRegistry.BuiltIn;

    /// <summary>Gets the table of these settings. It is opened when it is first asked.</summary>
    public HostTable Get(TableSettings settings)
    {
        lock (_gate)
        {
            if (!_open.TryGetValue(settings, out HostTable? table))
            {
                _open.Add(settings, table = new HostTable(settings, log) { Stores = Stores });
            }

            return table;
        }
    }

    /// <summary>Closes all of them.</summary>
    public async ValueTask DisposeAsync()
    {
        HostTable[] all;
        lock (_gate)
        {
            all = [.. _open.Values];
            _open.Clear();
        }

        foreach (HostTable table in all)
        {
            await table.DisposeAsync().ConfigureAwait(false);
        }
    }
}

using KaslrMt.Tenants;
using Microsoft.Extensions.Logging;

namespace KaslrMt.Vms;

/// <summary>One tenant table as the VMs of this process share it: opened once it can be, its lease renewed by one timer.</summary>
internal sealed class HostTable : IAsyncDisposable
{
    private readonly ILogger _log;
    private readonly SemaphoreSlim _opening = new(1);
    private readonly CancellationTokenSource _end = new();
    private readonly Task _keeping;
    private TenantTable? _table;
    private KaslrMtException? _failure;

    /// <summary>Begins; nothing is opened yet.</summary>
    /// <param name="settings">Where the table is.</param>
    /// <param name="log">Takes when it is away and back.</param>
    public HostTable(TableSettings settings, ILogger log)
    {
        Settings = settings;
        _log = log;
        _keeping = Task.Run(KeepAsync);
    }

    /// <summary>Where the table is.</summary>
    public TableSettings Settings { get; }

    /// <summary>The kinds of stores that can be opened.</summary>
    public TenantStoreRegistry Stores { get; init; } = TenantStoreRegistry.BuiltIn;

    /// <summary>Raised when this host's lease had run out before it was renewed: the host may have been evicted, and each VM tells the table again.</summary>
    public event Action? Lapsed;

    /// <summary>Gets the table, opened now if it is not yet. The caller must not dispose of it.</summary>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="KaslrMtException">40xx: it cannot be opened; the next call tries again.</exception>
    public async Task<TenantTable> GetAsync(CancellationToken cancellationToken)
    {
        if (Volatile.Read(ref _table) is { } open)
        {
            return open;
        }

        await _opening.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            return _table ??= await TenantTable.JoinAsync(await Stores.OpenAsync(Settings, cancellationToken).ConfigureAwait(false), Settings, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _opening.Release();
        }
    }

    /// <summary>Gets the table, and takes VMs out of it whose processes on this host are gone.</summary>
    /// <inheritdoc cref="GetAsync"/>
    public async Task<TenantTable> ReconciledAsync(CancellationToken cancellationToken)
    {
        TenantTable table = await GetAsync(cancellationToken).ConfigureAwait(false);
        await OpenTable.ReconcileAsync(table, _log, cancellationToken).ConfigureAwait(false);
        return table;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync().ConfigureAwait(false);
        await _keeping.ConfigureAwait(false);
        if (_table is not null)
        {
            await _table.DisposeAsync().ConfigureAwait(false);
        }

        _end.Dispose();
        _opening.Dispose();
    }

    private async Task KeepAsync()
    {
        long renewed = Environment.TickCount64;
        using var timer = new PeriodicTimer(Settings.Lease / 3);
        try
        {
            while (await timer.WaitForNextTickAsync(_end.Token).ConfigureAwait(false))
            {
                try
                {
                    TenantTable table = await GetAsync(_end.Token).ConfigureAwait(false);
                    await table.RenewAsync(_end.Token).ConfigureAwait(false);
                    bool lapsed = Environment.TickCount64 - renewed > Settings.Lease.TotalMilliseconds;
                    renewed = Environment.TickCount64;
                    Complain(null);
                    if (lapsed)
                    {
                        Lapsed?.Invoke();
                    }
                }
                catch (KaslrMtException error)
                {
                    Complain(error);
                }
                catch (Exception error) when (!_end.IsCancellationRequested)
                {
                    // Whatever it was: a host whose lease nobody renews loses all its VMs to an eviction.
                    _log.RenewalFailed(error, CoreErrors.Internal);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // This process ends, or no VM is in the table any more.
        }
    }

    // Once when it begins and once when it is over: a store can be away for days.
    private void Complain(KaslrMtException? error)
    {
        if (error is not null && error.Code != _failure?.Code)
        {
            _log.TableAway(error.Code, error.Message);
        }
        else if (error is null && _failure is not null)
        {
            _log.TableBack();
        }

        _failure = error;
    }
}

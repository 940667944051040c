using System.Collections.Immutable;
using KaslrMt.Layout;
using KaslrMt.Tenants;

namespace KaslrMt.Vms;

/// <summary>A running VM's place in the tenant table, from before its first instruction until after its last, as its owner holds it.</summary>
/// <remarks>Once taken, no failure of the store reaches the VM: it is logged, and tried again until it succeeds or the VM has ended.</remarks>
internal sealed partial class VmRegistration : IAsyncDisposable
{
    // A VM whose store is away is not kept waiting; the report follows when the store is back.
    private static readonly TimeSpan ReportPatience = TimeSpan.FromSeconds(2);

    // Shorter than what 'kaslrmt stop' waits for an owner.
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(8);

    private readonly TableSettings _settings;
    private readonly TextWriter _log;
    private readonly CancellationTokenSource _end = new();
    private readonly SemaphoreSlim _due = new(0);
    private readonly Lock _gate = new();
    private readonly Task _keeping;
    private TenantTable? _table;
    private VmRecord _vm;
    private TenantKey? _key;
    private TaskCompletionSource? _unreported;
    private KaslrMtException? _failure;

    private VmRegistration(TableSettings settings, TenantTable? table, VmRecord vm, TenantKey? key, TextWriter log)
    {
        _settings = settings;
        _table = table;
        _vm = vm;
        _key = key;
        _log = log;
        _keeping = Task.Run(KeepAsync);
    }

    /// <summary>Enters a VM that is about to start.</summary>
    /// <param name="settings">Where the table is.</param>
    /// <param name="tenant">Whose it is.</param>
    /// <param name="name">Its name.</param>
    /// <param name="policy">Its policy.</param>
    /// <param name="log">Takes what goes wrong later.</param>
    /// <param name="cancellationToken">Gives up before the entry is made.</param>
    /// <exception cref="KaslrMtException">40xx: nothing was entered.</exception>
    public static async Task<VmRegistration> TakeAsync(
        TableSettings settings, string tenant, string name, Policy policy, TextWriter log, CancellationToken cancellationToken)
    {
        TableNames.Check(tenant, "tenant");
        TableNames.Check(name, "VM");
        TenantTable table = await OpenTable.ReconciledAsync(settings, log, cancellationToken).ConfigureAwait(false);
        try
        {
            // Not cancelled: a start that is given up midway leaves open whether it happened.
            cancellationToken.ThrowIfCancellationRequested();
            Outcome outcome = await table.StartAsync(tenant, name, policy, cancellationToken: CancellationToken.None).ConfigureAwait(false);
            return new VmRegistration(settings, table, outcome.Vm!, outcome.TenantKey, log);
        }
        catch
        {
            await table.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Takes over the place of a VM that runs though its owner died; the table is opened once it can be.</summary>
    public static VmRegistration TakeOver(TableSettings settings, VmRecord vm, TextWriter log) => new(settings, null, vm, null, log);

    /// <summary>The record, as last known.</summary>
    public VmRecord Vm
    {
        get
        {
            lock (_gate)
            {
                return _vm;
            }
        }
    }

    /// <summary>Gives the tenant's key away, once; the caller disposes of it.</summary>
    public TenantKey? TakeKey() => Interlocked.Exchange(ref _key, null);

    /// <summary>Tells the table which processes keep the VM running: this one, and its QEMU.</summary>
    /// <param name="qemu">QEMU's number; null while there is none, as between two boots.</param>
    /// <param name="release">The kernel's release, if known.</param>
    public async Task ReportAsync(int? qemu, string? release)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            ImmutableArray<ProcessMark> processes = qemu is int id ? [ProcessMark.Current, ProcessMark.Of(id)] : [ProcessMark.Current];
            _vm = _vm with { Processes = processes, Release = release ?? _vm.Release, Status = VmStatus.Running };
            _unreported = done;
        }

        _due.Release();
        await Task.WhenAny(done.Task, Task.Delay(ReportPatience)).ConfigureAwait(false);
    }

    /// <summary>Takes the VM out of the table: it has ended.</summary>
    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync().ConfigureAwait(false);
        await _keeping.ConfigureAwait(false);
        if (!_left)
        {
            await StopAsync().ConfigureAwait(false);
        }

        _key?.Dispose();
        if (_table is not null)
        {
            await _table.DisposeAsync().ConfigureAwait(false);
        }

        _end.Dispose();
        _due.Dispose();
        _telling.Dispose();
    }

    private async Task StopAsync()
    {
        using var patience = new CancellationTokenSource(StopPatience);
        try
        {
            TenantTable table = await TableAsync(patience.Token).ConfigureAwait(false);
            using Outcome outcome = await table.StopAsync(_vm.Name, _vm.Incarnation, cancellationToken: patience.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            await _log.WriteLineAsync(
                $"kaslrmt: {_vm.Name} has ended, and may still count in the tenant table, which does not answer; the next 'kaslrmt ps' settles it").ConfigureAwait(false);
        }
        catch (KaslrMtException error) when (error.Code == TenantErrors.VmReplaced || error.Code == TenantErrors.VmUnknown)
        {
            // An operator's word, or an eviction, was faster.
        }
        catch (KaslrMtException error)
        {
            await _log.WriteLineAsync(
                $"kaslrmt: {error.Code}: {_vm.Name} has ended, and still counts in the tenant table: {error.Message}; the next 'kaslrmt ps' settles it").ConfigureAwait(false);
        }
    }

    private async Task<TenantTable> TableAsync(CancellationToken cancellationToken) =>
        _table ??= await TenantTable.OpenAsync(_settings, cancellationToken).ConfigureAwait(false);

    private async Task KeepAsync()
    {
        long renewed = Environment.TickCount64;
        TimeSpan interval = _settings.Lease / 3;
        try
        {
            while (true)
            {
                bool tellsNews = await _due.WaitAsync(interval, _end.Token).ConfigureAwait(false);
                try
                {
                    TenantTable table = await TableAsync(_end.Token).ConfigureAwait(false);
                    if (!tellsNews)
                    {
                        await table.RenewAsync(_end.Token).ConfigureAwait(false);
                    }

                    // A host without a lease may have been evicted meanwhile.
                    bool lapsed = Environment.TickCount64 - renewed > _settings.Lease.TotalMilliseconds;
                    if ((lapsed || Volatile.Read(ref _unreported) is not null) && await _telling.WaitAsync(0, _end.Token).ConfigureAwait(false))
                    {
                        try
                        {
                            await TellAsync(table).ConfigureAwait(false);
                        }
                        finally
                        {
                            _telling.Release();
                        }
                    }

                    renewed = Environment.TickCount64;
                    await ComplainAsync(null).ConfigureAwait(false);
                }
                catch (KaslrMtException error)
                {
                    await ComplainAsync(error).ConfigureAwait(false);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The VM has ended.
        }
    }

    private async Task TellAsync(TenantTable table)
    {
        VmRecord vm;
        TaskCompletionSource? told;
        lock (_gate)
        {
            (vm, told) = (_vm, _unreported);
        }

        try
        {
            using Outcome outcome = await table.ReportRunningAsync(vm.Name, vm.Incarnation, vm.Processes, vm.Release, _end.Token).ConfigureAwait(false);
        }
        catch (KaslrMtException error) when (error.Code == TenantErrors.VmUnknown)
        {
            using Outcome outcome = await table.ReattachAsync(vm, _end.Token).ConfigureAwait(false);
            await _log.WriteLineAsync($"kaslrmt: {vm.Name}: the tenant table had lost it (an eviction?); it counts again").ConfigureAwait(false);
        }

        catch (KaslrMtException error) when (error.Code == TenantErrors.VmStatusConflict)
        {
            await UndoMoveAsync(table, vm).ConfigureAwait(false);
        }

        lock (_gate)
        {
            _unreported = ReferenceEquals(_unreported, told) ? null : _unreported;
        }

        told?.TrySetResult();
    }

    // Once when it begins and once when it is over: a store can be away for days.
    private async Task ComplainAsync(KaslrMtException? error)
    {
        if (error is not null && error.Code != _failure?.Code)
        {
            await _log.WriteLineAsync($"kaslrmt: {error.Code}: {Vm.Name} runs on; the tenant table is tried again: {error.Message}").ConfigureAwait(false);
        }
        else if (error is null && _failure is not null)
        {
            await _log.WriteLineAsync($"kaslrmt: {Vm.Name}: the tenant table is back").ConfigureAwait(false);
        }

        _failure = error;
    }
}

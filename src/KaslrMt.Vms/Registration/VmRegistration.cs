using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using KaslrMt.Layout;
using KaslrMt.Tenants;
using Microsoft.Extensions.Logging;

namespace KaslrMt.Vms;

/// <summary>A running VM's record in the tenant table, from before its first instruction until after its last, as its owner holds it.</summary>
/// <remarks>Once entered, no failure of the store reaches the VM: the failure is logged, and the change is tried again until it succeeds or the VM has ended.</remarks>
[SuppressMessage("Usage", "CA2213", Justification = "A move or the lease may still signal a semaphore when the VM has just ended; neither has a handle to release.")]
internal sealed partial class VmRegistration : IAsyncDisposable
{
    // A VM whose store is away is not kept waiting; the report follows when the store is back.
    private static readonly TimeSpan ReportPatience = TimeSpan.FromSeconds(2);

    // Shorter than what a stop waits for an owner.
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(8);

    private static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(2);

    private readonly HostTable _host;
    private readonly ILogger _log;
    private readonly CancellationTokenSource _end = new();
    private readonly SemaphoreSlim _due = new(0);
    private readonly Lock _gate = new();
    private readonly Task _keeping;
    private VmRecord _vm;
    private TenantKey? _key;
    private TaskCompletionSource? _unreported;
    private KaslrMtException? _failure;

    private VmRegistration(HostTable host, VmRecord vm, TenantKey? key, ILogger log)
    {
        _host = host;
        _vm = vm;
        _key = key;
        _log = log;
        host.Lapsed += ReportAgain;
        _keeping = Task.Run(KeepAsync);
    }

    /// <summary>Whether the VM's QEMU outlives this process, so that QEMU's end alone is the VM's end.</summary>
    public bool OutlivesOwner { get; init; }

    /// <summary>Enters a VM that is about to start.</summary>
    /// <param name="host">The table, as this process shares it.</param>
    /// <param name="spec">The VM; it has a tenant.</param>
    /// <param name="policy">Its policy.</param>
    /// <param name="outlivesOwner">As <see cref="OutlivesOwner"/>.</param>
    /// <param name="log">Takes what goes wrong later.</param>
    /// <param name="cancellationToken">Gives up before the entry is made.</param>
    /// <exception cref="KaslrMtException">40xx: nothing was entered.</exception>
    public static async Task<VmRegistration> EnterAsync(
        HostTable host, VmSpec spec, Policy policy, bool outlivesOwner, ILogger log, CancellationToken cancellationToken)
    {
        TableNames.Check(spec.Tenant!, "tenant");
        TableNames.Check(spec.Name, "VM");
        TenantTable table = await host.ReconciledAsync(cancellationToken).ConfigureAwait(false);

        // Not cancelled: a start that is given up midway leaves open whether it happened.
        cancellationToken.ThrowIfCancellationRequested();
        Outcome outcome = await table.StartAsync(spec.Tenant!, spec.Name, policy, null, CancellationToken.None).ConfigureAwait(false);
        return new VmRegistration(host, outcome.Vm!, outcome.TenantKey, log) { OutlivesOwner = outlivesOwner };
    }

    /// <summary>Takes over the record of a VM that runs already: its owner died, or it came from a file or another host.</summary>
    public static VmRegistration TakeOver(HostTable host, VmRecord vm, ILogger log) => new(host, vm, null, log) { OutlivesOwner = true };

    /// <summary>Gets the record, as last known.</summary>
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

    /// <summary>Tells the table which processes keep the VM running.</summary>
    /// <param name="qemu">QEMU's number; null while there is none, as between two boots.</param>
    /// <param name="release">The kernel's release, if known.</param>
    public async Task ReportAsync(int? qemu, string? release)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            ImmutableArray<ProcessMark> processes = qemu is not int id ? [ProcessMark.Current]
                : OutlivesOwner ? [ProcessMark.Of(id)]
                : [ProcessMark.Current, ProcessMark.Of(id)];
            _vm = _vm with { Processes = processes, Release = release ?? _vm.Release, Status = VmStatus.Running };
            _unreported = done;
        }

        _due.Release();
        await Task.WhenAny(done.Task, Task.Delay(ReportPatience)).ConfigureAwait(false);
    }

    /// <summary>Lets go of the record without a change: the VM runs on, and another process takes it over.</summary>
    public void Abandon() => _left = true;

    /// <summary>Takes the VM out of the table: it has ended.</summary>
    public async ValueTask DisposeAsync()
    {
        _host.Lapsed -= ReportAgain;
        await _end.CancelAsync().ConfigureAwait(false);
        await _keeping.ConfigureAwait(false);
        if (!_left)
        {
            await StopAsync().ConfigureAwait(false);
        }

        _key?.Dispose();
        _end.Dispose();
    }

    private async Task StopAsync()
    {
        using var patience = new CancellationTokenSource(StopPatience);
        try
        {
            TenantTable table = await _host.GetAsync(patience.Token).ConfigureAwait(false);
            using Outcome outcome = await table.StopAsync(_vm.Name, _vm.Incarnation, cancellationToken: patience.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            _log.MayStillCount(_vm.Name);
        }
        catch (KaslrMtException error) when (error.Code == TenantErrors.VmReplaced || error.Code == TenantErrors.VmUnknown)
        {
            // An operator's word, or an eviction, was faster.
        }
        catch (KaslrMtException error)
        {
            _log.StillCounts(error.Code, _vm.Name, error.Message);
        }
    }

    private void ReportAgain()
    {
        lock (_gate)
        {
            _unreported ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        _due.Release();
    }

    private async Task KeepAsync()
    {
        try
        {
            while (true)
            {
                // Without a failure behind it, a VM waits for news without a timer: thirty of them cost an idle agent nothing.
                await _due.WaitAsync(_failure is null ? Timeout.InfiniteTimeSpan : RetryInterval, _end.Token).ConfigureAwait(false);
                try
                {
                    if (Volatile.Read(ref _unreported) is not null && await _telling.WaitAsync(0, _end.Token).ConfigureAwait(false))
                    {
                        try
                        {
                            await TellAsync(await _host.GetAsync(_end.Token).ConfigureAwait(false)).ConfigureAwait(false);
                        }
                        finally
                        {
                            _telling.Release();
                        }
                    }

                    Complain(null);
                }
                catch (KaslrMtException error)
                {
                    Complain(error);
                }
                catch (Exception error) when (!_end.IsCancellationRequested)
                {
                    // Whatever it was, the table must be told in the end.
                    Complain(new KaslrMtException(CoreErrors.Internal, $"internal error ({error.GetType().Name})", inner: error));
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
            _log.CountsAgain(vm.Name);
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
    private void Complain(KaslrMtException? error)
    {
        if (error is not null && error.Code != _failure?.Code)
        {
            _log.TableAway(error.Code, Vm.Name, error.Message);
        }
        else if (error is null && _failure is not null)
        {
            _log.TableBack(Vm.Name);
        }

        _failure = error;
    }
}

using System.Collections.Immutable;
using KaslrMt.Layout;
using KaslrMt.Tenants;

namespace KaslrMt.Vms;

/// <summary>The place of a VM that is saved or moves to another host: what the table says decides who has it.</summary>
internal sealed partial class VmRegistration
{
    private static readonly TimeSpan AskAgain = TimeSpan.FromSeconds(1);

    // Held while the VM moves: reports of its running would contradict the table.
    private readonly SemaphoreSlim _telling = new(1);
    private bool _left;

    /// <summary>Told when the VM's record became another start's, for the next supervisor.</summary>
    public Action<VmRecord>? Renewed { get; set; }

    /// <summary>Begins to save or move the VM. <see cref="Stays"/> must follow, or its leaving.</summary>
    public Task BeginMoveAsync(CancellationToken cancellationToken) => _telling.WaitAsync(cancellationToken);

    /// <summary>The VM goes on here, whatever was tried.</summary>
    public void Stays()
    {
        _telling.Release();
        lock (_gate)
        {
            _unreported ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        _due.Release();
    }

    /// <summary>The VM lies in its file: it counts on without a process.</summary>
    /// <exception cref="KaslrMtException">40xx: it goes on here.</exception>
    public async Task SavedAsync()
    {
        TenantTable table = await _host.GetAsync(CancellationToken.None).ConfigureAwait(false);
        (await table.SaveAsync(_vm.Name, _vm.Incarnation).ConfigureAwait(false)).Dispose();
        _left = true;
    }

    /// <summary>The VM is on its way to another host: it counts on both.</summary>
    /// <exception cref="KaslrMtException">40xx: it goes on here.</exception>
    public async Task LeavesForAsync(string host, CancellationToken cancellationToken)
    {
        TenantTable table = await _host.GetAsync(cancellationToken).ConfigureAwait(false);
        (await table.BeginMigrationAsync(_vm.Name, host, _vm.Incarnation, cancellationToken).ConfigureAwait(false)).Dispose();
    }

    /// <summary>The VM runs on another host.</summary>
    public void Left() => _left = true;

    /// <summary>Nobody said whether the other host took the VM: the table tells, and if it had not, it cannot any more. Asks until there is an answer.</summary>
    /// <returns>Whether the VM is the other's.</returns>
    public async Task<bool> HasLeftAsync()
    {
        for (bool told = false; ; told = true)
        {
            try
            {
                TenantTable table = await _host.GetAsync(CancellationToken.None).ConfigureAwait(false);
                using Outcome outcome = await table.AbortMigrationAsync(_vm.Name, _vm.Incarnation).ConfigureAwait(false);
                _left = outcome.Vm!.Host != table.Host.Id;
                return _left;
            }
            catch (KaslrMtException error) when (error.Code == TenantErrors.VmUnknown || error.Code == TenantErrors.VmReplaced || error.Code == TenantErrors.VmStatusConflict)
            {
                // It went there, and on from there.
                return _left = true;
            }
            catch (KaslrMtException error)
            {
                if (!told)
                {
                    _log.AsksWhereItGoesOn(error.Code, _vm.Name, error.Message);
                }

                await Task.Delay(AskAgain).ConfigureAwait(false);
            }
        }
    }

    /// <summary>The tenant's key once more, for a guest that reboots; null where the tenant has another by now.</summary>
    /// <exception cref="KaslrMtException">40xx: the table does not answer.</exception>
    public TenantKey? ReloadKey() => Task.Run(async () =>
    {
        TenantTable table = await _host.GetAsync(CancellationToken.None).ConfigureAwait(false);
        return await table.KeyOfAsync(Vm).ConfigureAwait(false);
    }).GetAwaiter().GetResult();

    // The table believes that the VM is saved or moves, and it runs here: a change was made whose answer did not arrive, or an earlier owner died midway.
    private async Task UndoMoveAsync(TenantTable table, VmRecord vm)
    {
        VmRecord? known = await table.Store.FindVmAsync(vm.Name, _end.Token).ConfigureAwait(false);
        if (known?.Incarnation == vm.Incarnation && known.Status == VmStatus.Migrating && known.Host == table.Host.Id)
        {
            (await table.AbortMigrationAsync(vm.Name, vm.Incarnation, _end.Token).ConfigureAwait(false)).Dispose();
        }
        else if (known?.Incarnation == vm.Incarnation && known.Status == VmStatus.Saved)
        {
            using Outcome restored = await table.RestoreAsync(vm.Name, vm.Processes, _end.Token).ConfigureAwait(false);
            vm = vm with { Incarnation = restored.Vm!.Incarnation };
            lock (_gate)
            {
                _vm = _vm with { Incarnation = vm.Incarnation };
            }

            Renewed?.Invoke(vm);
        }

        (await table.ReportRunningAsync(vm.Name, vm.Incarnation, vm.Processes.IsDefault ? ImmutableArray<ProcessMark>.Empty : vm.Processes, vm.Release, _end.Token)
            .ConfigureAwait(false)).Dispose();
    }
}

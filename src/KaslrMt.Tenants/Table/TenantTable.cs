using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using KaslrMt.Layout;

namespace KaslrMt.Tenants;

/// <summary>The table of tenants' keys as one host uses it: the life of VMs, and what to do about hosts and processes that are gone.</summary>
/// <remarks>
/// The owner of a VM: <see cref="StartAsync"/> before its first instruction, <see cref="ReportRunningAsync"/> once its process is known,
/// <see cref="StopAsync"/> after its process has ended, and <see cref="KeepAliveAsync"/> all the time between.
/// </remarks>
/// <param name="store">The store of the table; disposed of with this object.</param>
/// <param name="host">This host's identity.</param>
/// <param name="lease">The time for which this host counts as alive after its last sign of life.</param>
public sealed class TenantTable(ITenantStore store, HostIdentity host, TimeSpan lease) : IAsyncDisposable
{
    private readonly Actor _actor = Actor.Current(host.Id);

    /// <summary>Gets the store of the table.</summary>
    public ITenantStore Store => store;

    /// <summary>Gets this host's identity.</summary>
    public HostIdentity Host => host;

    /// <summary>Opens the table, creating it where it is missing, and gives this host a lease.</summary>
    /// <exception cref="KaslrMtException">40xx: the store cannot be opened.</exception>
    public static async Task<TenantTable> OpenAsync(TableSettings settings, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(settings);
        return await JoinAsync(await TenantStores.OpenAsync(settings, cancellationToken).ConfigureAwait(false), settings, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Has this host take part in the table of a store that is open, and gives the host a lease.</summary>
    /// <param name="store">The store, of any kind; disposed of with the table, and when this fails.</param>
    /// <param name="settings">The state directory, where this host's identity is, and the lease; the rest is not looked at.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    /// <exception cref="KaslrMtException">40xx: this host's identity cannot be had, or the store failed.</exception>
    public static async Task<TenantTable> JoinAsync(ITenantStore store, TableSettings settings, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(store);
        ArgumentNullException.ThrowIfNull(settings);
        try
        {
            var table = new TenantTable(store, HostIdentity.Load(StateDirectory.Ensure(settings.StateDirectory)), settings.Lease);
            await table.RenewAsync(cancellationToken).ConfigureAwait(false);
            return table;
        }
        catch
        {
            await store.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Records that a VM starts on this host, in this process until another is reported.</summary>
    /// <param name="tenant">The VM's tenant.</param>
    /// <param name="name">The VM's name.</param>
    /// <param name="policy">The regions that the tenant's key decides.</param>
    /// <param name="release">The kernel's release, if known.</param>
    /// <param name="cancellationToken">Ends the wait; whether the VM was recorded is then unknown, and <see cref="ReconcileAsync"/> settles it.</param>
    /// <returns>The record, whose incarnation the owner keeps, and the tenant's key. The caller disposes of it.</returns>
    /// <exception cref="KaslrMtException">40xx: the name is illegal or in use, or the store failed; nothing changed.</exception>
    public Task<Outcome> StartAsync(string tenant, string name, Policy policy, string? release = null, CancellationToken cancellationToken = default) => WithLeaseAsync(
        new StartVm(
            TableNames.Check(tenant, "tenant"), TableNames.Check(name, "VM"), host.Id, policy, Guid.NewGuid(), [ProcessMark.Current], release),
        cancellationToken);

    /// <summary>Records that a VM runs, or runs again after a reboot.</summary>
    /// <param name="name">The VM.</param>
    /// <param name="incarnation">The start, as <see cref="StartAsync"/> returned it.</param>
    /// <param name="processes">All processes whose end means the VM's end: QEMU, and the supervisor where QEMU does not outlive it.</param>
    /// <param name="release">The kernel's release.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public Task<Outcome> ReportRunningAsync(
        string name, Guid incarnation, ImmutableArray<ProcessMark> processes, string? release = null, CancellationToken cancellationToken = default) =>
        store.ApplyAsync(new ReportRunning(name, incarnation, processes, release), _actor, cancellationToken);

    /// <summary>Records that a VM's memory is on disk and its processes are gone. The VM counts as alive, so its tenant's key stays.</summary>
    public Task<Outcome> SaveAsync(string name, Guid? incarnation = null, CancellationToken cancellationToken = default) =>
        store.ApplyAsync(new SaveVm(name, incarnation), _actor, cancellationToken);

    /// <summary>Records that a saved VM starts on this host from its memory.</summary>
    /// <param name="name">The VM.</param>
    /// <param name="processes">All processes whose end means the VM's end; this one where none are given.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>The record with a new incarnation, and the tenant's key if it is the one the VM was started with.</returns>
    public Task<Outcome> RestoreAsync(string name, ImmutableArray<ProcessMark> processes = default, CancellationToken cancellationToken = default) =>
        WithLeaseAsync(new RestoreVm(name, host.Id, Guid.NewGuid(), processes.IsDefaultOrEmpty ? [ProcessMark.Current] : processes), cancellationToken);

    /// <summary>Records that a running VM begins to migrate to another host, which must be alive.</summary>
    public Task<Outcome> BeginMigrationAsync(string name, string target, Guid? incarnation = null, CancellationToken cancellationToken = default) =>
        store.ApplyAsync(new BeginMigration(name, target, incarnation), _actor, cancellationToken);

    /// <summary>Records that a migrating VM runs on its target. Either side may say so; the target, which knows the processes, should.</summary>
    public Task<Outcome> FinishMigrationAsync(
        string name, ImmutableArray<ProcessMark> processes, Guid? incarnation = null, CancellationToken cancellationToken = default) =>
        store.ApplyAsync(new FinishMigration(name, processes, incarnation), _actor, cancellationToken);

    /// <summary>Records that a migrating VM stays where it was.</summary>
    public Task<Outcome> AbortMigrationAsync(string name, Guid? incarnation = null, CancellationToken cancellationToken = default) =>
        store.ApplyAsync(new AbortMigration(name, incarnation), _actor, cancellationToken);

    /// <summary>Records that a VM is gone. A tenant's last VM takes the key along.</summary>
    /// <param name="name">The VM.</param>
    /// <param name="incarnation">The start, which the owner always gives. Null, the operator's word, means any start.</param>
    /// <param name="reason">The reason, for the audit log.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public Task<Outcome> StopAsync(string name, Guid? incarnation = null, string? reason = null, CancellationToken cancellationToken = default) =>
        store.ApplyAsync(new StopVm(name, incarnation, reason), _actor, cancellationToken);

    /// <summary>Removes a VM whose end no process saw, on an operator's word.</summary>
    /// <param name="name">A VM of this host, one in doubt, or a saved one.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="KaslrMtException">
    /// <see cref="TenantErrors.VmUnknown"/>, <see cref="TenantErrors.HostAlive"/>; <see cref="TenantErrors.VmStatusConflict"/>: its process lives on this host.
    /// </exception>
    public async Task<Outcome> ForgetAsync(string name, CancellationToken cancellationToken = default)
    {
        VmRecord? vm = await store.FindVmAsync(name, cancellationToken).ConfigureAwait(false);
        if (vm is { Status: not VmStatus.Saved } && vm.Host != host.Id && vm.Target != host.Id)
        {
            var hosts = (await store.HostsAsync(cancellationToken).ConfigureAwait(false)).ToDictionary(known => known.Id);
            if (Doubt(vm, hosts) is null)
            {
                throw new KaslrMtException(
                    TenantErrors.HostAlive, $"VM '{name}' is not in doubt: its host {vm.Host} is alive", "stop it on that host");
            }
        }

        if (vm is { Status: not VmStatus.Saved } && vm.Host == host.Id && vm.Processes.FirstOrDefault(process => process.IsAlive()) is { Id: > 0 } alive)
        {
            throw new KaslrMtException(
                TenantErrors.VmStatusConflict,
                $"VM '{name}' is not in doubt: its process {alive.Id} lives on this host",
                "stop it where it was started (another KASLRMT_RUNTIME_DIR, or as another command's VM), or end that process");
        }

        return await StopAsync(name, vm?.Incarnation, "forgotten on an operator's word", cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Asks for a new key, which comes when the tenant's last VM has stopped.</summary>
    public Task<Outcome> RotateAsync(string tenant, CancellationToken cancellationToken = default) => store.ApplyAsync(new RotateTenant(tenant), _actor, cancellationToken);

    /// <summary>Forgets a tenant that has no VM.</summary>
    public Task<Outcome> RemoveTenantAsync(string tenant, CancellationToken cancellationToken = default) => store.ApplyAsync(new RemoveTenant(tenant), _actor, cancellationToken);

    /// <summary>Records that this host still runs a VM though it was evicted: the VM counts again.</summary>
    /// <param name="vm">The record that its owner kept.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public Task<Outcome> ReattachAsync(VmRecord vm, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(vm);
        return WithLeaseAsync(new ReattachVm(vm with { Host = host.Id }), cancellationToken);
    }

    /// <summary>Returns all VMs, or a tenant's, and the doubts about them.</summary>
    public async IAsyncEnumerable<VmView> VmsAsync(string? tenant = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var hosts = (await store.HostsAsync(cancellationToken).ConfigureAwait(false)).ToDictionary(known => known.Id);
        TenantRecord? owner = null;
        await foreach (VmRecord vm in store.VmsAsync(tenant, cancellationToken).ConfigureAwait(false))
        {
            owner = owner?.Name == vm.Tenant ? owner : await store.FindTenantAsync(vm.Tenant, cancellationToken).ConfigureAwait(false);
            bool older = owner is not { HasKey: true } || owner.Generation != vm.Generation;
            yield return new VmView(vm, Doubt(vm, hosts), older);
        }
    }

    /// <summary>Returns the VMs that are on this host or migrate to it, and the doubts about them. Whether a key is older is not looked at.</summary>
    public async IAsyncEnumerable<VmView> VmsHereAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var hosts = (await store.HostsAsync(cancellationToken).ConfigureAwait(false)).ToDictionary(known => known.Id);
        await foreach (VmRecord vm in store.VmsOfHostAsync(host.Id, cancellationToken).ConfigureAwait(false))
        {
            yield return new VmView(vm, Doubt(vm, hosts), OlderKey: false);
        }
    }

    /// <summary>Returns the key of a VM that this host runs once more: for its guest's reboot under a supervisor that does not have it.</summary>
    /// <param name="vm">The record that its owner keeps.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>The key; null where the table has another one by now, or does not know the VM. The caller disposes of it.</returns>
    /// <exception cref="KaslrMtException">40xx: the store failed.</exception>
    public async Task<TenantKey?> KeyOfAsync(VmRecord vm, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(vm);
        VmRecord? known = await store.FindVmAsync(vm.Name, cancellationToken).ConfigureAwait(false);
        TenantRecord? tenant = known?.Incarnation == vm.Incarnation ? await store.FindTenantAsync(known.Tenant, cancellationToken).ConfigureAwait(false) : null;
        if (known is null || tenant is not { HasKey: true } || tenant.Generation != known.Generation)
        {
            return null;
        }

        // A start with the incarnation that is there changes nothing and is answered with the key.
        Outcome outcome = await store.ApplyAsync(
            new StartVm(known.Tenant, known.Name, known.Host, known.Policy, known.Incarnation, known.Processes, known.Release), _actor, cancellationToken).ConfigureAwait(false);
        if (!outcome.Changed && outcome.Tenant?.Generation == known.Generation)
        {
            return outcome.TenantKey;
        }

        outcome.Dispose();
        return outcome.Changed
            ? throw new KaslrMtException(TenantErrors.VmReplaced, $"VM '{vm.Name}' left the tenant table while its key was asked for", "stop it and run it anew")
            : null;
    }

    /// <summary>Stops, in the table, the VMs of this host whose processes are proven gone.</summary>
    /// <remarks>Saved VMs have no process, and a migrating one may live on its target: neither is touched.</remarks>
    /// <returns>The VMs that were stopped.</returns>
    public async Task<IReadOnlyList<VmRecord>> ReconcileAsync(CancellationToken cancellationToken = default)
    {
        List<VmRecord> gone = [];
        await foreach (VmRecord vm in store.VmsOfHostAsync(host.Id, cancellationToken).ConfigureAwait(false))
        {
            if (vm.Host == host.Id && vm.Status is VmStatus.Starting or VmStatus.Running && IsGone(vm))
            {
                var stop = new StopVm(vm.Name, vm.Incarnation, "its process is gone", vm.Since);
                using Outcome outcome = await store.ApplyAsync(stop, _actor, cancellationToken).ConfigureAwait(false);
                if (outcome.Changed)
                {
                    gone.Add(vm);
                }
            }
        }

        return gone;
    }

    /// <summary>Declares a host gone for good: its VMs are, too, and those that migrated from or to it are on the other side.</summary>
    /// <param name="id">The host; it must have no lease.</param>
    /// <param name="includeSaved">Whether the memory of VMs saved there is gone too; else they stay, to be restored elsewhere, and so does the host.</param>
    /// <param name="cancellationToken">Ends the work between two VMs; a repeated call goes on.</param>
    /// <returns>The VMs as they were, each settled by now.</returns>
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.HostUnknown"/>, <see cref="TenantErrors.HostAlive"/>.</exception>
    public async Task<IReadOnlyList<VmRecord>> EvictHostAsync(string id, bool includeSaved = false, CancellationToken cancellationToken = default)
    {
        IReadOnlyList<HostRecord> hosts = await store.HostsAsync(cancellationToken).ConfigureAwait(false);
        HostRecord evicted = hosts.FirstOrDefault(known => known.Id == id) ?? throw HostRules.Unknown(id);
        HostRules.RequireRemovable(id, known: true, evicted.Alive, vm: null);
        List<VmRecord> settled = [];
        bool left = false;
        await foreach (VmRecord vm in store.VmsOfHostAsync(id, cancellationToken).ConfigureAwait(false))
        {
            using Outcome outcome = await store.ApplyAsync(new EvictVm(vm.Name, id, includeSaved), _actor, cancellationToken).ConfigureAwait(false);
            left |= !outcome.Changed;
            if (outcome.Changed)
            {
                settled.Add(vm);
            }
        }

        if (!left)
        {
            await store.RemoveHostAsync(id, _actor, cancellationToken).ConfigureAwait(false);
        }

        return settled;
    }

    /// <summary>Renews this host's lease once.</summary>
    public Task RenewAsync(CancellationToken cancellationToken = default) => store.RenewHostAsync(host, lease, _actor, cancellationToken);

    /// <summary>Keeps this host's lease from ending, until cancelled. A store that cannot be reached is tried again: the VMs run on.</summary>
    /// <param name="failed">Takes each failure.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    public async Task KeepAliveAsync(Action<KaslrMtException> failed, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(failed);
        using var timer = new PeriodicTimer(lease / 3);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellationToken).ConfigureAwait(false))
            {
                try
                {
                    await RenewAsync(cancellationToken).ConfigureAwait(false);
                }
                catch (KaslrMtException error)
                {
                    failed(error);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The way it ends.
        }
    }

    /// <summary>Checks the store, and the whole recorded history against the rules that always hold.</summary>
    /// <returns>The faults; empty when all is well.</returns>
    public async Task<IReadOnlyList<string>> CheckAsync(CancellationToken cancellationToken = default) =>
        [.. await store.CheckAsync(cancellationToken).ConfigureAwait(false), .. await HistoryCheck.RunAsync(store, cancellationToken).ConfigureAwait(false)];

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => store.DisposeAsync();

    private static bool IsGone(VmRecord vm) => !vm.Processes.IsEmpty && vm.Processes.All(process => process.IsGone());

    private string? Doubt(VmRecord vm, Dictionary<string, HostRecord> hosts)
    {
        foreach (string id in vm.Target is { } target ? [vm.Host, target] : (string[])[vm.Host])
        {
            // Of itself a host needs no lease: it sees its processes.
            if (id != host.Id && !(hosts.TryGetValue(id, out HostRecord? known) && known.Alive) && vm.Status != VmStatus.Saved)
            {
                return $"host {hosts.GetValueOrDefault(id)?.Name ?? id} gives no sign of life";
            }
        }

        return vm.Status == VmStatus.Migrating && vm.Host == host.Id && IsGone(vm)
            ? "its process here is gone, and whether it arrived is not known"
            : null;
    }

    /// <summary>Takes a new lease and tries again where the host's lease ended while nothing ran here.</summary>
    private async Task<Outcome> WithLeaseAsync(TableCommand command, CancellationToken cancellationToken)
    {
        try
        {
            return await store.ApplyAsync(command, _actor, cancellationToken).ConfigureAwait(false);
        }
        catch (KaslrMtException error) when (error.Code == TenantErrors.HostLeaseLost)
        {
            await RenewAsync(cancellationToken).ConfigureAwait(false);
            return await store.ApplyAsync(command, _actor, cancellationToken).ConfigureAwait(false);
        }
    }
}

using System.Globalization;

namespace KaslrMt.Tenants;

/// <summary>
/// The table's rules: current state and a command make the new state. Pure: no clock, no randomness, no storage; both stores apply it.
/// </summary>
/// <remarks>
/// <para>These always hold, whatever the order of commands:</para>
/// <list type="bullet">
/// <item>A tenant's count is the number of its VM records; a record exists from before the VM's first instruction until after its last.</item>
/// <item>A key exists only while the count is above zero; the command that takes the count to zero purges it in the same step.</item>
/// <item>A key is made only where there is none, so it never changes under a running VM; its generation is one more than the last.</item>
/// <item>Saved and migrating VMs keep their record, so neither takes the count through zero.</item>
/// <item>Doubt changes nothing. Only <see cref="StopVm"/> (a process saw the VM end) and <see cref="EvictVm"/> (an operator's word) remove a record.</item>
/// </list>
/// <para>Commands that carry an incarnation may be repeated: a caller that does not know whether its change arrived asks again.</para>
/// </remarks>
public static class TenantRules
{
    /// <summary>Decides what a command does.</summary>
    /// <param name="slice">What the command's <see cref="TableCommand.VmName"/>, <see cref="TableCommand.TenantName"/> (else the VM's tenant) and <see cref="TableCommand.HostId"/> name, read in the transaction that will write.</param>
    /// <param name="command">The command.</param>
    /// <param name="now">The time, by the clock that leases are measured with.</param>
    /// <exception cref="KaslrMtException">400x and 401x: the command is refused, and nothing changes.</exception>
    public static Decision Decide(TableSlice slice, TableCommand command, DateTimeOffset now) => command switch
    {
        StartVm start => Start(slice, start, now),
        ReportRunning report => Run(slice, report, now),
        SaveVm save => Save(slice, save, now),
        RestoreVm restore => Restore(slice, restore, now),
        BeginMigration begin => Migrate(slice, begin, now),
        FinishMigration finish => Finish(slice, finish, now),
        AbortMigration abort => Abort(slice, abort, now),
        StopVm stop => Stop(slice, stop),
        EvictVm evict => Evict(slice, evict, now),
        ReattachVm reattach => Reattach(slice, reattach.Vm, now),
        RotateTenant rotate => Rotate(slice, rotate.Tenant),
        RemoveTenant remove => Remove(slice, remove.Tenant),
        _ => throw new ArgumentOutOfRangeException(nameof(command), command.GetType().Name, "no such command"),
    };

    private static Decision Start(TableSlice slice, StartVm start, DateTimeOffset now)
    {
        if (slice.Vm is { } existing)
        {
            return existing.Incarnation == start.Incarnation ? Unchanged(slice) : throw InUse(existing);
        }

        RequireLease(slice, start.Host);
        TenantRecord tenant = slice.Tenant ?? new TenantRecord { Name = start.Tenant, Created = now };
        bool first = !tenant.HasKey;
        tenant = tenant with
        {
            Generation = first ? tenant.Generation + 1 : tenant.Generation,
            KeyCreated = first ? now : tenant.KeyCreated,
            Vms = tenant.Vms + 1,
        };
        var vm = new VmRecord
        {
            Name = start.Name,
            Tenant = start.Tenant,
            Host = start.Host,
            Generation = tenant.Generation,
            Policy = start.Policy,
            Release = start.Release,
            Status = VmStatus.Starting,
            Incarnation = start.Incarnation,
            Processes = start.Processes,
            Started = now,
            Since = now,
        };
        return new Decision(tenant, vm, first ? KeyEffect.Created : KeyEffect.None, "start");
    }

    private static Decision Run(TableSlice slice, ReportRunning report, DateTimeOffset now)
    {
        VmRecord vm = Existing(slice, report.Name, report.Incarnation);
        Require(vm, "run", VmStatus.Starting, VmStatus.Running);
        vm = vm with { Status = VmStatus.Running, Processes = report.Processes, Release = report.Release ?? vm.Release, Since = now };
        return new Decision(slice.Tenant, vm, KeyEffect.None, "running");
    }

    private static Decision Save(TableSlice slice, SaveVm save, DateTimeOffset now)
    {
        VmRecord vm = Existing(slice, save.Name, save.Incarnation);
        if (vm.Status == VmStatus.Saved)
        {
            return Unchanged(slice);
        }

        Require(vm, "be saved", VmStatus.Running);
        return new Decision(slice.Tenant, vm with { Status = VmStatus.Saved, Processes = [], Since = now }, KeyEffect.None, "save");
    }

    private static Decision Restore(TableSlice slice, RestoreVm restore, DateTimeOffset now)
    {
        VmRecord vm = Existing(slice, restore.Name, incarnation: null);
        if (vm.Incarnation == restore.Incarnation)
        {
            return Unchanged(slice);
        }

        Require(vm, "be restored", VmStatus.Saved);
        RequireLease(slice, restore.Host);
        vm = vm with { Status = VmStatus.Starting, Host = restore.Host, Incarnation = restore.Incarnation, Processes = restore.Processes, Since = now };
        return new Decision(slice.Tenant, vm, KeyEffect.None, "restore");
    }

    private static Decision Migrate(TableSlice slice, BeginMigration begin, DateTimeOffset now)
    {
        VmRecord vm = Existing(slice, begin.Name, begin.Incarnation);
        if (vm.Status == VmStatus.Migrating && vm.Target == begin.Target)
        {
            return Unchanged(slice);
        }

        Require(vm, "migrate", VmStatus.Running);
        if (vm.Host == begin.Target)
        {
            throw new KaslrMtException(TenantErrors.VmStatusConflict, $"VM '{vm.Name}' is on host {vm.Host} already", "name another host");
        }

        RequireLease(slice, begin.Target);
        return new Decision(
            slice.Tenant, vm with { Status = VmStatus.Migrating, Target = begin.Target, Since = now }, KeyEffect.None, "migrate", $"to {begin.Target}");
    }

    private static Decision Finish(TableSlice slice, FinishMigration finish, DateTimeOffset now)
    {
        VmRecord vm = Existing(slice, finish.Name, finish.Incarnation);
        if (vm.Status == VmStatus.Running && !finish.Processes.IsEmpty && vm.Processes.SequenceEqual(finish.Processes))
        {
            return Unchanged(slice);
        }

        Require(vm, "finish a migration", VmStatus.Migrating);
        vm = vm with { Status = VmStatus.Running, Host = vm.Target!, Target = null, Processes = finish.Processes, Since = now };
        return new Decision(slice.Tenant, vm, KeyEffect.None, "migrated", $"from {slice.Vm!.Host}");
    }

    private static Decision Abort(TableSlice slice, AbortMigration abort, DateTimeOffset now)
    {
        VmRecord vm = Existing(slice, abort.Name, abort.Incarnation);
        if (vm.Status == VmStatus.Running)
        {
            return Unchanged(slice);
        }

        Require(vm, "abort a migration", VmStatus.Migrating);
        return new Decision(
            slice.Tenant, vm with { Status = VmStatus.Running, Target = null, Since = now }, KeyEffect.None, "migrate-abort", $"to {vm.Target}");
    }

    private static Decision Stop(TableSlice slice, StopVm stop)
    {
        if (slice.Vm is not { } vm)
        {
            return stop.Incarnation is null ? throw Unknown(stop.Name) : Unchanged(slice);
        }

        // The start that is meant has ended before, which is what was asked for; the name's new owner is left alone.
        bool another = (stop.Incarnation is { } meant && meant != vm.Incarnation) || (stop.Since is { } since && since != vm.Since);
        return another ? Unchanged(slice) : Without(slice, "stop", stop.Reason);
    }

    private static Decision Evict(TableSlice slice, EvictVm evict, DateTimeOffset now)
    {
        if (slice.HostAlive)
        {
            throw new KaslrMtException(
                TenantErrors.HostAlive, $"host {evict.Host} is alive, so its VMs are not in doubt", "stop or migrate its VMs there instead");
        }

        return slice.Vm switch
        {
            // The other host of a migration has the VM now, if anybody has.
            { Status: VmStatus.Migrating } vm when vm.Host == evict.Host => new Decision(
                slice.Tenant,
                vm with { Status = VmStatus.Running, Host = vm.Target!, Target = null, Processes = [], Since = now },
                KeyEffect.None,
                "migrated",
                $"host {evict.Host} evicted"),
            { Status: VmStatus.Migrating } vm when vm.Target == evict.Host => new Decision(
                slice.Tenant, vm with { Status = VmStatus.Running, Target = null, Since = now }, KeyEffect.None, "migrate-abort", $"host {evict.Host} evicted"),
            { Status: VmStatus.Saved } when !evict.IncludeSaved => Unchanged(slice),
            { } vm when vm.Host == evict.Host => Without(slice, "evict", $"host {evict.Host} evicted"),
            _ => Unchanged(slice),
        };
    }

    private static Decision Reattach(TableSlice slice, VmRecord vm, DateTimeOffset now)
    {
        if (slice.Vm is { } existing)
        {
            return existing.Incarnation == vm.Incarnation ? Unchanged(slice) : throw InUse(existing);
        }

        RequireLease(slice, vm.Host);
        TenantRecord tenant = slice.Tenant ?? new TenantRecord { Name = vm.Tenant, Created = now };
        string detail = tenant.HasKey && tenant.Generation == vm.Generation
            ? "under the key its tenant has"
            : string.Create(CultureInfo.InvariantCulture, $"under generation {vm.Generation}, whose key was purged");

        // A key's generation is the tenant's as long as there is one: a tenant that was removed and made anew counts from one again.
        tenant = tenant with { Generation = tenant.HasKey ? tenant.Generation : Math.Max(tenant.Generation, vm.Generation), Vms = tenant.Vms + 1 };
        return new Decision(tenant, vm with { Since = now }, KeyEffect.None, "reattach", detail);
    }

    private static Decision Rotate(TableSlice slice, string name)
    {
        TenantRecord tenant = slice.Tenant ?? throw UnknownTenant(name);

        // Without a key there is nothing to wait for: the next start makes a new one anyway.
        return tenant.RotationPending || !tenant.HasKey
            ? Unchanged(slice)
            : new Decision(tenant with { RotationPending = true }, slice.Vm, KeyEffect.None, "rotate");
    }

    private static Decision Remove(TableSlice slice, string name)
    {
        TenantRecord tenant = slice.Tenant ?? throw UnknownTenant(name);
        return tenant.Vms == 0
            ? new Decision(null, null, KeyEffect.None, "remove")
            : throw new KaslrMtException(
                TenantErrors.TenantInUse,
                string.Create(CultureInfo.InvariantCulture, $"tenant '{name}' has {tenant.Vms} VMs"),
                "stop them, and discard the saved ones, first");
    }

    private static Decision Without(TableSlice slice, string action, string? detail)
    {
        TenantRecord tenant = slice.Tenant ?? throw new KaslrMtException(
            TenantErrors.StoreCorrupt, $"VM '{slice.Vm!.Name}' belongs to tenant '{slice.Vm.Tenant}', which is missing", "check the whole store");
        long left = tenant.Vms - 1;
        bool purge = left <= 0 && tenant.HasKey;
        tenant = tenant with
        {
            Vms = left,
            KeyId = purge ? null : tenant.KeyId,
            KeyCreated = purge ? null : tenant.KeyCreated,
            RotationPending = left > 0 && tenant.RotationPending,
        };
        return new Decision(tenant, null, purge ? KeyEffect.Purged : KeyEffect.None, action, detail);
    }

    private static Decision Unchanged(TableSlice slice) => new(slice.Tenant, slice.Vm, KeyEffect.None, null);

    private static VmRecord Existing(TableSlice slice, string name, Guid? incarnation)
    {
        VmRecord vm = slice.Vm ?? throw Unknown(name);
        return incarnation is { } meant && meant != vm.Incarnation
            ? throw new KaslrMtException(
                TenantErrors.VmReplaced, $"VM '{name}' was stopped, and its name belongs to a later start on host {vm.Host}", "end this VM's process")
            : vm;
    }

    private static void Require(VmRecord vm, string what, params ReadOnlySpan<VmStatus> allowed)
    {
        if (!allowed.Contains(vm.Status))
        {
            throw new KaslrMtException(
                TenantErrors.VmStatusConflict, $"VM '{vm.Name}' is {vm.Status.ToString().ToLowerInvariant()} and cannot {what}", "list the VMs");
        }
    }

    private static void RequireLease(TableSlice slice, string host)
    {
        if (!slice.HostAlive)
        {
            throw new KaslrMtException(
                TenantErrors.HostLeaseLost, $"host {host} has no lease in the tenant table", "run any 'kaslrmt' command there to renew it, then try again");
        }
    }

    private static KaslrMtException InUse(VmRecord vm) => new(
        TenantErrors.VmNameInUse,
        $"VM '{vm.Name}' exists: tenant '{vm.Tenant}', {vm.Status.ToString().ToLowerInvariant()} on host {vm.Host}",
        "choose another name, or stop it first");

    private static KaslrMtException Unknown(string name) =>
        new(TenantErrors.VmUnknown, $"there is no VM '{name}' in the tenant table", "list the VMs for those there are");

    private static KaslrMtException UnknownTenant(string name) =>
        new(TenantErrors.TenantUnknown, $"there is no tenant '{name}'", "list the tenants for those there are");
}

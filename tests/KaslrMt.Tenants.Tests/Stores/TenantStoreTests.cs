using KaslrMt.Layout;

namespace KaslrMt.Tenants.Tests.Stores;

/// <summary>What every store must do. Each derived class runs all of it on one kind of store.</summary>
public abstract partial class TenantStoreTests
{
    /// <summary>A further connection to the test's store, as another process would have it.</summary>
    private protected abstract Task<ITenantStore> OpenAsync(StoreHooks? hooks = null);

    private protected abstract KeyRingFile Keys { get; }

    private async Task<ITenantStore> WithHostsAsync(StoreHooks? hooks = null)
    {
        ITenantStore store = await OpenAsync(hooks);
        await store.RenewHostAsync(Table.HostA, Table.Lease, Table.Tester);
        await store.RenewHostAsync(Table.HostB, Table.Lease, Table.Tester);
        return store;
    }

    [Fact]
    public async Task The_first_vm_makes_the_key_later_ones_get_it_the_last_takes_it_along()
    {
        await using ITenantStore store = await WithHostsAsync();
        string first = await store.StartAsync("acme", "v1");
        Assert.Equal(first, await store.StartAsync("acme", "v2", "h-b"));
        Assert.Equal((2L, 1L, true), await SummaryAsync(store, "acme"));

        await store.DoAsync(new StopVm("v1"));
        Assert.Equal(first, await store.StartAsync("acme", "v3"));
        await store.DoAsync(new StopVm("v2"));
        using Outcome last = await store.DoAsync(new StopVm("v3"));
        Assert.Equal(KeyEffect.Purged, last.Key);
        Assert.Equal((0L, 1L, false), await SummaryAsync(store, "acme"));

        Assert.NotEqual(first, await store.StartAsync("acme", "v1"));
        Assert.Equal((1L, 2L, true), await SummaryAsync(store, "acme"));
        await Table.SoundAsync(store);
    }

    [Fact]
    public async Task Another_process_finds_the_same_key()
    {
        await using ITenantStore one = await WithHostsAsync();
        await using ITenantStore two = await OpenAsync();
        Assert.Equal(await one.StartAsync("acme", "v1"), await two.StartAsync("acme", "v2"));
    }

    [Fact]
    public async Task No_two_tenants_get_the_same_key_even_when_the_generator_repeats()
    {
        Queue<string> drawn = new(["kTz4mQeW8xYp2R6v", "kTz4mQeW8xYp2R6v", "kTz4mQeW8xYp2R6v", "QqZ7hJ2kTTw9xx31"]);
        int collisions = 0;
        StoreHooks hooks = new()
        {
            NewKey = () => TenantKey.Parse(drawn.Dequeue()),
            Step = step => collisions += step == "collision" ? 1 : 0,
        };
        await using ITenantStore store = await WithHostsAsync(hooks);
        Assert.NotEqual(await store.StartAsync("acme", "v1"), await store.StartAsync("beta", "v2"));
        Assert.Equal(2, collisions);
        await Table.SoundAsync(store);
    }

    [Fact]
    public async Task Rotation_waits_for_the_last_vm()
    {
        await using ITenantStore store = await WithHostsAsync();
        string old = await store.StartAsync("acme", "v1");
        using (Outcome rotated = await store.DoAsync(new RotateTenant("acme")))
        {
            Assert.True(rotated.Tenant!.RotationPending);
        }

        Assert.Equal(old, await store.StartAsync("acme", "v2"));
        await store.DoAsync(new StopVm("v1"));
        Assert.Equal(old, await store.StartAsync("acme", "v1"));
        await store.DoAsync(new StopVm("v1"));
        await store.DoAsync(new StopVm("v2"));
        Assert.NotEqual(old, await store.StartAsync("acme", "v1"));
        Assert.False((await store.FindTenantAsync("acme"))!.RotationPending);
        await Table.SoundAsync(store);
    }

    [Fact]
    public async Task A_saved_vm_keeps_its_tenants_key_and_is_restored_under_it_on_another_host()
    {
        await using ITenantStore store = await WithHostsAsync();
        string key = await store.StartAsync("acme", "v1");
        await store.RunAsync("v1");
        await store.DoAsync(new SaveVm("v1"));
        Assert.Equal((1L, 1L, true), await SummaryAsync(store, "acme"));

        using Outcome restored = await store.DoAsync(new RestoreVm("v1", "h-b", Guid.NewGuid(), [ProcessMark.Current]));
        Assert.Equal(key, System.Text.Encoding.ASCII.GetString(restored.TenantKey!.Reveal()));
        Assert.Equal(("h-b", VmStatus.Starting), (restored.Vm!.Host, restored.Vm.Status));
        await Table.SoundAsync(store);
    }

    [Fact]
    public async Task A_migrating_vm_is_on_two_hosts_and_the_count_stays()
    {
        await using ITenantStore store = await WithHostsAsync();
        string key = await store.StartAsync("acme", "v1");
        await store.RunAsync("v1");
        using (Outcome begun = await store.DoAsync(new BeginMigration("v1", "h-b")))
        {
            Assert.Equal(("h-a", "h-b", VmStatus.Migrating), (begun.Vm!.Host, begun.Vm.Target, begun.Vm.Status));
        }

        Assert.Single(await store.VmsOfHostAsync("h-a").AllAsync());
        Assert.Single(await store.VmsOfHostAsync("h-b").AllAsync());
        Assert.Equal((1L, 1L, true), await SummaryAsync(store, "acme"));
        using (Outcome done = await store.DoAsync(new FinishMigration("v1", [ProcessMark.Current])))
        {
            Assert.Equal(("h-b", null, VmStatus.Running), (done.Vm!.Host, done.Vm.Target, done.Vm.Status));
        }

        Assert.Empty(await store.VmsOfHostAsync("h-a").AllAsync());
        Assert.Equal(key, await store.StartAsync("acme", "v2", "h-b"));
        await Table.SoundAsync(store);
    }

    [Fact]
    public async Task Everything_about_a_vm_survives_storing()
    {
        await using ITenantStore store = await WithHostsAsync();
        StartVm start = Table.Start("acme", "v1") with { Policy = Policy.Parse("101010") };
        using Outcome outcome = await store.DoAsync(start);
        await using ITenantStore other = await OpenAsync();
        VmRecord found = (await other.FindVmAsync("v1"))!;
        Assert.Equal<ProcessMark>([.. start.Processes], [.. found.Processes]);
        Assert.Equal(outcome.Vm! with { Processes = default }, found with { Processes = default });
        Assert.Equal(outcome.Tenant, await other.FindTenantAsync("acme"));
    }

    [Fact]
    public async Task Refusals_have_their_numbers_and_change_nothing()
    {
        await using ITenantStore store = await WithHostsAsync();
        await store.StartAsync("acme", "v1");
        await Table.RefusedAsync(TenantErrors.VmNameInUse, () => store.DoAsync(Table.Start("acme", "v1")));
        await Table.RefusedAsync(TenantErrors.VmNameInUse, () => store.DoAsync(Table.Start("beta", "v1")));
        await Table.RefusedAsync(TenantErrors.VmUnknown, () => store.DoAsync(new StopVm("v9")));
        await Table.RefusedAsync(TenantErrors.VmReplaced, () => store.DoAsync(new SaveVm("v1", Guid.NewGuid())));
        await Table.RefusedAsync(TenantErrors.VmStatusConflict, () => store.DoAsync(new SaveVm("v1")));
        await Table.RefusedAsync(TenantErrors.TenantUnknown, () => store.DoAsync(new RotateTenant("none")));
        await Table.RefusedAsync(TenantErrors.TenantUnknown, () => store.DoAsync(new RemoveTenant("none")));
        await Table.RefusedAsync(TenantErrors.TenantInUse, () => store.DoAsync(new RemoveTenant("acme")));
        await Table.RefusedAsync(TenantErrors.HostLeaseLost, () => store.DoAsync(Table.Start("acme", "v2", "h-unknown")));
        await Table.RefusedAsync(TenantErrors.HostAlive, () => store.DoAsync(new EvictVm("v1", "h-a", false)));
        await Table.RefusedAsync(TenantErrors.HostAlive, () => store.RemoveHostAsync("h-b", Table.Tester));
        await Table.RefusedAsync(TenantErrors.HostUnknown, () => store.RemoveHostAsync("h-unknown", Table.Tester));
        Assert.Equal(["acme"], (await store.TenantsAsync().AllAsync()).Select(tenant => tenant.Name));
        Assert.Equal(["v1"], (await store.VmsAsync().AllAsync()).Select(vm => vm.Name));
        await Table.SoundAsync(store);
    }

    [Fact]
    public async Task A_tenant_without_vms_can_be_removed_and_comes_back_new()
    {
        await using ITenantStore store = await WithHostsAsync();
        string first = await store.StartAsync("acme", "v1");
        await store.DoAsync(new StopVm("v1"));
        await store.DoAsync(new RemoveTenant("acme"));
        Assert.Null(await store.FindTenantAsync("acme"));
        Assert.NotEqual(first, await store.StartAsync("acme", "v1"));
        await Table.SoundAsync(store);
    }

    [Fact]
    public async Task A_host_without_a_sign_of_life_loses_its_lease_and_its_vms_are_in_doubt_until_evicted()
    {
        await using ITenantStore store = await OpenAsync();
        await using var table = new TenantTable(await OpenAsync(), Table.HostA, Table.Lease);
        await table.RenewAsync();
        string key = "";
        await BeforeTheLeaseEndsAsync(async () => key = await store.StartAsync("acme", "lost", "h-b"));
        await store.RunAsync("lost");
        await BeforeTheLeaseEndsAsync(() => store.StartAsync("acme", "saved", "h-b"));
        await store.RunAsync("saved");
        await store.DoAsync(new SaveVm("saved"));
        await BeforeTheLeaseEndsAsync(() => store.StartAsync("acme", "leaving", "h-b"));
        await store.RunAsync("leaving");
        await store.DoAsync(new BeginMigration("leaving", "h-a"));
        await BeforeTheLeaseEndsAsync(() => Table.RefusedAsync(TenantErrors.HostAlive, () => table.EvictHostAsync("h-b")));

        await Table.EventuallyAsync(async () => !(await store.HostsAsync()).Single(host => host.Id == "h-b").Alive, "the end of the lease");
        List<VmView> views = await table.VmsAsync("acme").AllAsync();
        Assert.Equal(["leaving", "lost"], views.Where(view => view.InDoubt is not null).Select(view => view.Vm.Name));
        Assert.Equal((3L, 1L, true), await SummaryAsync(store, "acme"));
        await Table.RefusedAsync(TenantErrors.HostLeaseLost, () => store.DoAsync(Table.Start("acme", "more", "h-b")));

        Assert.Equal(["leaving", "lost"], (await table.EvictHostAsync("h-b")).Select(vm => vm.Name));
        List<VmRecord> left = await store.VmsAsync("acme").AllAsync();
        Assert.Equal([("leaving", "h-a", VmStatus.Running), ("saved", "h-b", VmStatus.Saved)], left.Select(vm => (vm.Name, vm.Host, vm.Status)));
        Assert.Equal(key, await store.StartAsync("acme", "v1"));

        Assert.Equal(["saved"], (await table.EvictHostAsync("h-b", includeSaved: true)).Select(vm => vm.Name));
        Assert.Equal(["h-a"], (await store.HostsAsync()).Select(host => host.Id));
        await Table.RefusedAsync(TenantErrors.HostUnknown, () => table.EvictHostAsync("h-b"));
        await Table.SoundAsync(store);

        async Task BeforeTheLeaseEndsAsync(Func<Task> work)
        {
            await store.RenewHostAsync(Table.HostB, TimeSpan.FromSeconds(5), Table.Tester);
            await work();
        }
    }

    [Fact]
    public async Task A_vm_of_another_host_is_forgotten_only_when_it_is_in_doubt_or_saved()
    {
        await using ITenantStore store = await OpenAsync();
        await using var table = new TenantTable(await OpenAsync(), Table.HostA, Table.Lease);
        await table.RenewAsync();
        await store.RenewHostAsync(Table.HostB, TimeSpan.FromSeconds(5), Table.Tester);
        await store.StartAsync("acme", "there", "h-b");
        await store.StartAsync("acme", "here", "h-a");
        await Table.RefusedAsync(TenantErrors.HostAlive, () => table.ForgetAsync("there"));
        await Table.RefusedAsync(TenantErrors.VmUnknown, () => table.ForgetAsync("v9"));

        // A process of this host that lives is proof; one in another PID namespace proves nothing.
        await Table.RefusedAsync(TenantErrors.VmStatusConflict, () => table.ForgetAsync("here"));
        VmRecord here = (await store.FindVmAsync("here"))!;
        await store.DoAsync(new ReportRunning("here", here.Incarnation, [ProcessMark.Current with { PidNamespace = "pid:[1]" }]));
        (await table.ForgetAsync("here")).Dispose();
        Assert.Equal((1L, 1L, true), await SummaryAsync(store, "acme"));

        await Table.EventuallyAsync(async () => !(await store.HostsAsync()).Single(host => host.Id == "h-b").Alive, "the end of the lease");
        (await table.ForgetAsync("there")).Dispose();
        Assert.False((await store.FindTenantAsync("acme"))!.HasKey);

        await store.RenewHostAsync(Table.HostB, Table.Lease, Table.Tester);
        await store.StartAsync("acme", "saved", "h-b");
        await store.RunAsync("saved");
        await store.DoAsync(new SaveVm("saved"));
        (await table.ForgetAsync("saved")).Dispose();
        Assert.Empty(await store.VmsAsync().AllAsync());
        await Table.SoundAsync(store);
    }

    [Fact]
    public async Task The_key_of_a_running_vm_is_told_again_and_no_other()
    {
        await using ITenantStore store = await OpenAsync();
        await using var table = new TenantTable(await OpenAsync(), Table.HostA, Table.Lease);
        await table.RenewAsync();
        using Outcome started = await table.StartAsync("acme", "v1", Policy.Default);
        using (TenantKey? again = await table.KeyOfAsync(started.Vm!))
        {
            Assert.Equal(started.TenantKey!.Reveal(), again!.Reveal());
        }

        // Of an earlier start of the name, of a VM that is gone, or under a generation that is not the tenant's: none, and nothing is made.
        Assert.Null(await table.KeyOfAsync(started.Vm! with { Incarnation = Guid.NewGuid() }));
        (await table.StopAsync("v1")).Dispose();
        Assert.Null(await table.KeyOfAsync(started.Vm!));
        Assert.False((await store.FindTenantAsync("acme"))!.HasKey);
        (await table.ReattachAsync(started.Vm!)).Dispose();
        Assert.Null(await table.KeyOfAsync(started.Vm!));
        (await table.StartAsync("acme", "v2", Policy.Default)).Dispose();
        Assert.Null(await table.KeyOfAsync(started.Vm!));
        await Table.SoundAsync(store);
    }

    [Fact]
    public async Task Reconciliation_stops_what_is_proven_gone_and_nothing_else()
    {
        await using var table = new TenantTable(await OpenAsync(), Table.HostA, Table.Lease);
        await table.RenewAsync();
        ProcessMark gone = ProcessMark.Current with { StartTime = 1 };
        ProcessMark elsewhere = ProcessMark.Current with { StartTime = 1, PidNamespace = "pid:[1]" };
        ProcessMark beforeReboot = ProcessMark.Current with { BootId = "another-boot" };
        await StartWithAsync(table.Store, "gone", gone);
        await StartWithAsync(table.Store, "rebooted", beforeReboot);
        await StartWithAsync(table.Store, "unprovable", elsewhere);
        await StartWithAsync(table.Store, "half", gone, ProcessMark.Current);
        await StartWithAsync(table.Store, "unknown");
        await StartWithAsync(table.Store, "alive", ProcessMark.Current);
        await StartWithAsync(table.Store, "saved", gone);
        await table.SaveAsync("saved");

        Assert.Equal(["gone", "rebooted"], (await table.ReconcileAsync()).Select(vm => vm.Name).Order());
        Assert.Equal(["alive", "half", "saved", "unknown", "unprovable"], (await table.Store.VmsAsync().AllAsync()).Select(vm => vm.Name));
        Assert.Empty(await table.ReconcileAsync());
        Assert.Empty(await table.CheckAsync());
    }

    [Fact]
    public async Task The_audit_log_tells_who_did_what_and_never_the_key()
    {
        await using ITenantStore store = await WithHostsAsync();
        string key = await store.StartAsync("acme", "v1");
        await store.DoAsync(new StopVm("v1", null, "asked to"));
        List<AuditEntry> log = await store.AuditAsync().AllAsync();
        Assert.Equal(["host-join", "host-join", "start", "stop"], log.Select(entry => entry.Action));
        AuditEntry start = log[2];
        Assert.Equal(("tester", 1000u, "h-a", "acme", "v1", 1L, KeyEffect.Created), (start.Actor.User, start.Actor.UserId, start.Actor.Host, start.Tenant, start.Vm, start.Generation, start.Key));
        Assert.Equal((KeyEffect.Purged, start.KeyId, "asked to"), (log[3].Key, log[3].KeyId, log[3].Detail));
        Assert.DoesNotContain(log, entry => entry.ToString().Contains(key, StringComparison.Ordinal));
        Assert.Single(await store.AuditAsync(start.Sequence).AllAsync());

        Assert.Equal(4, await store.TrimAuditAsync(DateTimeOffset.UtcNow.AddMinutes(1), Table.Tester));
        await store.StartAsync("acme", "v2");
        Assert.Equal(["audit-trim", "start"], (await store.AuditAsync().AllAsync()).Select(entry => entry.Action));
        await Table.SoundAsync(store);
    }

    [Fact]
    public async Task Key_encryption_keys_rotate_while_vms_start_and_stop()
    {
        await using ITenantStore store = await WithHostsAsync();
        await using ITenantStore other = await OpenAsync();
        string key = await store.StartAsync("acme", "v1");
        Assert.Equal(2, Keys.AddKey());
        Assert.Equal(1, await store.RewrapAsync(Table.Tester));
        Assert.Equal(0, await store.RewrapAsync(Table.Tester));

        // A process that knew only the old key reads the file anew.
        Assert.Equal(key, await other.StartAsync("acme", "v2"));
        await other.StartAsync("beta", "v3");
        Assert.Equal(0, await store.RewrapAsync(Table.Tester));
        File.WriteAllLines(Keys.Path, File.ReadAllLines(Keys.Path).Where(line => line.StartsWith("2 ", StringComparison.Ordinal)));
        await using ITenantStore third = await OpenAsync();
        Assert.Equal(key, await third.StartAsync("acme", "v4"));
        await Table.SoundAsync(third);
    }

    [Fact]
    public async Task A_wrong_key_encryption_key_is_refused_before_anything_is_written()
    {
        await using (ITenantStore store = await WithHostsAsync())
        {
            await store.StartAsync("acme", "v1");
        }

        File.WriteAllText(Keys.Path, $"1 {new string('a', 64)}\n");
        await Table.RefusedAsync(TenantErrors.KeyWrong, () => OpenAsync());
        File.WriteAllText(Keys.Path, $"7 {new string('a', 64)}\n");
        await Table.RefusedAsync(TenantErrors.KeyVersionMissing, () => OpenAsync());
        File.Delete(Keys.Path);
        await Table.RefusedAsync(TenantErrors.KeyFileUnreadable, () => OpenAsync());
        Assert.False(File.Exists(Keys.Path));
    }

    [Fact]
    public async Task A_watch_tells_of_others_changes()
    {
        await using ITenantStore store = await WithHostsAsync();
        await using ITenantStore other = await OpenAsync();
        using var cancel = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        await using IAsyncEnumerator<TableChange> watch = other.WatchAsync(cancel.Token).GetAsyncEnumerator();
        Assert.True(await watch.MoveNextAsync());
        Assert.Equal(TableChangeKind.Relist, watch.Current.Kind);
        await store.StartAsync("acme", "v1");
        do
        {
            Assert.True(await watch.MoveNextAsync());
        }
        while (watch.Current is not { Kind: TableChangeKind.Relist } and not { Kind: TableChangeKind.Vm, Name: "v1" });
        Assert.NotNull(await other.FindVmAsync("v1"));
    }

    private static async Task StartWithAsync(ITenantStore store, string name, params ProcessMark[] processes)
    {
        StartVm start = Table.Start("acme", name);
        using Outcome started = await store.DoAsync(start);
        using Outcome running = await store.DoAsync(new ReportRunning(name, start.Incarnation, [.. processes]));
    }

    private static async Task<(long Vms, long Generation, bool HasKey)> SummaryAsync(ITenantStore store, string name)
    {
        TenantRecord tenant = (await store.FindTenantAsync(name))!;
        return (tenant.Vms, tenant.Generation, tenant.HasKey);
    }
}

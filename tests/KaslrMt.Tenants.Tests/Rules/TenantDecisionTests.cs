using KaslrMt.Layout;
using static KaslrMt.Tenants.Tests.Rules.Slices;

namespace KaslrMt.Tenants.Tests.Rules;

/// <summary>
/// What each command makes of a tenant and its VM, field by field. Both stores write these records as they are, and the audit log keeps the words:
/// a field forgotten here is one that a later verify, migration or eviction decides wrongly by.
/// </summary>
public sealed class TenantDecisionTests
{
    [Fact]
    public void The_first_start_makes_a_tenant_a_key_and_a_starting_vm()
    {
        Decision made = TenantRules.Decide(new TableSlice(null, null, true), Start(Started), Now);
        Assert.Equal(new TenantRecord { Name = "acme", Generation = 1, KeyCreated = Now, Vms = 1, Created = Now }, made.Tenant);
        AssertSame(Vm(VmStatus.Starting) with { Generation = 1, Started = Now, Since = Now }, made.Vm);
        Assert.Equal((KeyEffect.Created, "start", null), (made.Key, made.Action, made.Detail));
    }

    [Fact]
    public void A_tenants_second_vm_gets_the_key_there_is()
    {
        Decision made = TenantRules.Decide(new TableSlice(Tenant(), null, true), Start(Started), Now);
        Assert.Equal(Tenant(vms: 2), made.Tenant);
        AssertSame(Vm(VmStatus.Starting) with { Started = Now, Since = Now }, made.Vm);
        Assert.Equal((KeyEffect.None, "start"), (made.Key, made.Action));
    }

    [Fact]
    public void A_tenant_whose_key_was_purged_gets_the_next_generation()
    {
        Decision made = TenantRules.Decide(new TableSlice(Tenant(vms: 0, key: null), null, true), Start(Started), Now);
        Assert.Equal(Tenant(key: null) with { Generation = 4, KeyCreated = Now }, made.Tenant);
        Assert.Equal(4, made.Vm!.Generation);
        Assert.Equal(KeyEffect.Created, made.Key);
    }

    [Theory]
    [InlineData(VmStatus.Starting)]
    [InlineData(VmStatus.Running)]
    public void Reporting_records_the_processes_and_the_release_when_it_is_told(VmStatus status)
    {
        TableSlice slice = Of(status);
        VmRecord expected = slice.Vm! with { Status = VmStatus.Running, Processes = [NewProcess], Since = Now };
        AssertChange(slice, new ReportRunning("v1", Started, [NewProcess]), expected, "running");
        AssertChange(slice, new ReportRunning("v1", Started, [NewProcess], "6.12.0"), expected with { Release = "6.12.0" }, "running");
    }

    [Fact]
    public void Saving_keeps_the_vm_and_forgets_its_processes() =>
        AssertChange(Of(VmStatus.Running), new SaveVm("v1", Started), Vm(VmStatus.Saved) with { Since = Now }, "save");

    [Fact]
    public void Restoring_starts_it_where_it_is_restored_and_keeps_its_generation()
    {
        VmRecord expected = Vm(VmStatus.Starting) with { Host = "h-b", Incarnation = Other, Processes = [NewProcess], Since = Now };
        AssertChange(Of(VmStatus.Saved), new RestoreVm("v1", "h-b", Other, [NewProcess]), expected, "restore");
    }

    [Fact]
    public void A_migration_is_on_both_hosts_until_it_is_finished_or_aborted()
    {
        TableSlice migrating = Of(VmStatus.Migrating);
        AssertChange(Of(VmStatus.Running), new BeginMigration("v1", "h-b"), migrating.Vm! with { Since = Now }, "migrate", "to h-b");
        VmRecord there = Vm(VmStatus.Running) with { Host = "h-b", Processes = [NewProcess], Since = Now };
        AssertChange(migrating, new FinishMigration("v1", [NewProcess], Started), there, "migrated", "from h-a");
        AssertChange(migrating, new AbortMigration("v1", Started), Vm(VmStatus.Running) with { Since = Now }, "migrate-abort", "to h-b");
    }

    [Theory]
    [InlineData(VmStatus.Starting)]
    [InlineData(VmStatus.Running)]
    [InlineData(VmStatus.Saved)]
    [InlineData(VmStatus.Migrating)]
    public void Whatever_a_vm_does_stopping_it_removes_it_and_the_last_takes_the_key_along(VmStatus status)
    {
        foreach (StopVm stop in (StopVm[])[new("v1", null, "why"), new("v1", Started, "why"), new("v1", Started, "why", Then), new("v1", null, "why", Then)])
        {
            Decision last = TenantRules.Decide(Of(status) with { Tenant = Tenant(rotation: true) }, stop, Now);
            Assert.Equal(new Decision(Tenant(vms: 0, key: null), null, KeyEffect.Purged, "stop", "why"), last);
        }

        Decision second = TenantRules.Decide(Of(status) with { Tenant = Tenant(vms: 2, rotation: true) }, new StopVm("v1"), Now);
        Assert.Equal(new Decision(Tenant(vms: 1, rotation: true), null, KeyEffect.None, "stop"), second);
        Decision keyless = TenantRules.Decide(Of(status) with { Tenant = Tenant(key: null) }, new StopVm("v1"), Now);
        Assert.Equal(new Decision(Tenant(vms: 0, key: null), null, KeyEffect.None, "stop"), keyless);
    }

    [Theory]
    [InlineData(VmStatus.Starting)]
    [InlineData(VmStatus.Running)]
    public void Evicting_a_host_removes_what_ran_there_and_nothing_else(VmStatus status)
    {
        TableSlice slice = Of(status) with { HostAlive = false };
        foreach (bool saved in (bool[])[false, true])
        {
            Assert.Equal(
                new Decision(Tenant(vms: 0, key: null), null, KeyEffect.Purged, "evict", "host h-a evicted"), TenantRules.Decide(slice, new EvictVm("v1", "h-a", saved), Now));
            AssertUnchanged(slice, new EvictVm("v1", "h-b", saved));
        }
    }

    [Fact]
    public void Evicting_a_host_keeps_what_is_saved_there_unless_that_is_asked_for()
    {
        TableSlice slice = Of(VmStatus.Saved) with { HostAlive = false };
        AssertUnchanged(slice, new EvictVm("v1", "h-a", false));
        AssertUnchanged(slice, new EvictVm("v1", "h-b", true));
        Assert.Equal("evict", TenantRules.Decide(slice, new EvictVm("v1", "h-a", true), Now).Action);
    }

    [Fact]
    public void Evicting_one_host_of_a_migration_leaves_the_vm_to_the_other()
    {
        TableSlice slice = Of(VmStatus.Migrating) with { HostAlive = false };
        VmRecord there = Vm(VmStatus.Running) with { Host = "h-b", Processes = [], Since = Now };
        AssertChange(slice, new EvictVm("v1", "h-a", false), there, "migrated", "host h-a evicted");
        AssertChange(slice, new EvictVm("v1", "h-b", false), Vm(VmStatus.Running) with { Since = Now }, "migrate-abort", "host h-b evicted");
        AssertUnchanged(slice, new EvictVm("v1", "h-c", true));
        AssertUnchanged(slice with { Vm = null }, new EvictVm("v1", "h-a", true));
    }

    [Theory]
    [InlineData(3, "key-1", 3, "under the key its tenant has")]
    [InlineData(3, null, 3, "under generation 3, whose key was purged")]
    [InlineData(2, "key-1", 3, "under generation 2, whose key was purged")]
    [InlineData(5, "key-1", 3, "under generation 5, whose key was purged")]
    [InlineData(5, null, 5, "under generation 5, whose key was purged")]
    public void A_vm_that_comes_back_counts_again_and_a_tenants_key_keeps_its_generation(long generation, string? key, long after, string said)
    {
        VmRecord vm = Vm(VmStatus.Running) with { Generation = generation };
        Decision made = TenantRules.Decide(new TableSlice(Tenant(key: key), null, true), new ReattachVm(vm), Now);
        Assert.Equal(Tenant(vms: 2, key: key) with { Generation = after }, made.Tenant);
        AssertSame(vm with { Since = Now }, made.Vm);
        Assert.Equal((KeyEffect.None, "reattach", said), (made.Key, made.Action, made.Detail));
    }

    [Fact]
    public void A_vm_comes_back_even_if_its_tenant_was_removed()
    {
        Decision made = TenantRules.Decide(new TableSlice(null, null, true), new ReattachVm(Vm(VmStatus.Running)), Now);
        Assert.Equal(new TenantRecord { Name = "acme", Generation = 3, Vms = 1, Created = Now }, made.Tenant);
        Assert.Equal("under generation 3, whose key was purged", made.Detail);
    }

    [Fact]
    public void A_rotation_waits_where_there_is_a_key_and_is_asked_for_once()
    {
        TableSlice slice = Of(VmStatus.Running);
        Decision made = TenantRules.Decide(slice, new RotateTenant("acme"), Now);
        Assert.Equal(new Decision(Tenant(rotation: true), slice.Vm, KeyEffect.None, "rotate"), made);
        AssertUnchanged(slice with { Tenant = Tenant(rotation: true) }, new RotateTenant("acme"));
        AssertUnchanged(slice with { Tenant = Tenant(vms: 0, key: null) }, new RotateTenant("acme"));
    }

    [Fact]
    public void A_tenant_without_vms_is_forgotten_whole() => Assert.Equal(
        new Decision(null, null, KeyEffect.None, "remove"), TenantRules.Decide(new TableSlice(Tenant(vms: 0, key: null), null, true), new RemoveTenant("acme"), Now));

    [Fact]
    public void What_was_done_already_is_not_done_or_logged_again()
    {
        AssertUnchanged(Of(VmStatus.Running), Start(Started));
        AssertUnchanged(Of(VmStatus.Saved), new SaveVm("v1", Started));
        AssertUnchanged(Of(VmStatus.Running), new RestoreVm("v1", "h-b", Started, [NewProcess]));
        AssertUnchanged(Of(VmStatus.Migrating), new BeginMigration("v1", "h-b"));
        AssertUnchanged(Of(VmStatus.Running), new FinishMigration("v1", [Process]));
        AssertUnchanged(Of(VmStatus.Running), new AbortMigration("v1"));
        AssertUnchanged(Of(VmStatus.Running), new ReattachVm(Vm(VmStatus.Running)));
        AssertUnchanged(new TableSlice(Tenant(), null, true), new StopVm("v1", Started));
    }

    [Fact]
    public void A_stop_that_means_another_start_or_an_older_report_changes_nothing()
    {
        AssertUnchanged(Of(VmStatus.Running), new StopVm("v1", Other));
        AssertUnchanged(Of(VmStatus.Running), new StopVm("v1", Other, null, Then));
        AssertUnchanged(Of(VmStatus.Running), new StopVm("v1", Started, null, Now));
        AssertUnchanged(Of(VmStatus.Running), new StopVm("v1", null, null, Now));
    }

    private static void AssertChange(TableSlice slice, TableCommand command, VmRecord vm, string action, string? detail = null)
    {
        Decision made = TenantRules.Decide(slice, command, Now);
        AssertSame(vm, made.Vm);
        Assert.Equal(slice.Tenant, made.Tenant);
        Assert.Equal((KeyEffect.None, action, detail), (made.Key, made.Action, made.Detail));
    }

    private static void AssertUnchanged(TableSlice slice, TableCommand command)
    {
        Decision made = TenantRules.Decide(slice, command, Now);
        Assert.False(made.Changes, $"{command} did {made.Action}");
        Assert.Equal(new Decision(slice.Tenant, slice.Vm, KeyEffect.None, null), made);
    }
}

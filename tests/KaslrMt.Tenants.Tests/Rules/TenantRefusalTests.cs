using KaslrMt.Layout;
using static KaslrMt.Tenants.Tests.Rules.Slices;

namespace KaslrMt.Tenants.Tests.Rules;

/// <summary>What the table refuses: the number that scripts look at, and a line that says which VM or host, why, and what to do.</summary>
public sealed class TenantRefusalTests
{
    public static TheoryData<VmStatus, string, string> InTheWrongStatus => new()
    {
        { VmStatus.Saved, "report", "VM 'v1' is saved and cannot run" },
        { VmStatus.Migrating, "report", "VM 'v1' is migrating and cannot run" },
        { VmStatus.Starting, "save", "VM 'v1' is starting and cannot be saved" },
        { VmStatus.Migrating, "save", "VM 'v1' is migrating and cannot be saved" },
        { VmStatus.Starting, "restore", "VM 'v1' is starting and cannot be restored" },
        { VmStatus.Running, "restore", "VM 'v1' is running and cannot be restored" },
        { VmStatus.Migrating, "restore", "VM 'v1' is migrating and cannot be restored" },
        { VmStatus.Starting, "migrate", "VM 'v1' is starting and cannot migrate" },
        { VmStatus.Saved, "migrate", "VM 'v1' is saved and cannot migrate" },
        { VmStatus.Migrating, "migrate", "VM 'v1' is migrating and cannot migrate" },
        { VmStatus.Starting, "finish", "VM 'v1' is starting and cannot finish a migration" },
        { VmStatus.Running, "finish", "VM 'v1' is running and cannot finish a migration" },
        { VmStatus.Running, "finish nowhere", "VM 'v1' is running and cannot finish a migration" },
        { VmStatus.Saved, "finish nowhere", "VM 'v1' is saved and cannot finish a migration" },
        { VmStatus.Starting, "abort", "VM 'v1' is starting and cannot abort a migration" },
        { VmStatus.Saved, "abort", "VM 'v1' is saved and cannot abort a migration" },
    };

    [Theory]
    [MemberData(nameof(InTheWrongStatus))]
    public void A_status_allows_what_can_follow_it_and_nothing_else(VmStatus status, string what, string said)
    {
        TableCommand command = what switch
        {
            "report" => new ReportRunning("v1", Started, [Process]),
            "save" => new SaveVm("v1"),
            "restore" => new RestoreVm("v1", "h-b", Other, [NewProcess]),
            "migrate" => new BeginMigration("v1", "h-c"),
            "finish" => new FinishMigration("v1", [NewProcess]),
            "finish nowhere" => new FinishMigration("v1", []),
            _ => new AbortMigration("v1"),
        };
        AssertRefused(Of(status), command, TenantErrors.VmStatusConflict, said, "list the VMs");
    }

    [Fact]
    public void A_finished_migration_without_processes_is_never_taken_for_a_repetition()
    {
        TableSlice slice = Of(VmStatus.Running);
        slice = slice with { Vm = slice.Vm! with { Processes = [] } };
        AssertRefused(slice, new FinishMigration("v1", []), TenantErrors.VmStatusConflict, "VM 'v1' is running and cannot finish a migration", "list the VMs");
    }

    [Fact]
    public void A_name_has_one_owner()
    {
        const string Said = "VM 'v1' exists: tenant 'acme', saved on host h-a";
        const string Remedy = "choose another name, or stop it first";
        AssertRefused(Of(VmStatus.Saved), Start(Other), TenantErrors.VmNameInUse, Said, Remedy);
        AssertRefused(Of(VmStatus.Saved), new ReattachVm(Vm(VmStatus.Running) with { Incarnation = Other }), TenantErrors.VmNameInUse, Said, Remedy);
    }

    [Fact]
    public void A_host_without_a_lease_takes_no_vm()
    {
        const string Remedy = "run any 'kaslrmt' command there to renew it, then try again";
        var none = new TableSlice(Tenant(), null, HostAlive: false);
        AssertRefused(none, Start(Started), TenantErrors.HostLeaseLost, "host h-a has no lease in the tenant table", Remedy);
        AssertRefused(none, new ReattachVm(Vm(VmStatus.Running)), TenantErrors.HostLeaseLost, "host h-a has no lease in the tenant table", Remedy);
        AssertRefused(
            Of(VmStatus.Saved) with { HostAlive = false },
            new RestoreVm("v1", "h-b", Other, []),
            TenantErrors.HostLeaseLost,
            "host h-b has no lease in the tenant table",
            Remedy);
        AssertRefused(
            Of(VmStatus.Running) with { HostAlive = false }, new BeginMigration("v1", "h-b"), TenantErrors.HostLeaseLost, "host h-b has no lease in the tenant table", Remedy);
    }

    [Fact]
    public void A_living_host_is_not_evicted() => AssertRefused(
        Of(VmStatus.Running),
        new EvictVm("v1", "h-a", true),
        TenantErrors.HostAlive,
        "host h-a is alive, so its VMs are not in doubt",
        "stop or migrate its VMs there instead");

    [Fact]
    public void A_vm_does_not_migrate_to_where_it_is() => AssertRefused(
        Of(VmStatus.Running), new BeginMigration("v1", "h-a"), TenantErrors.VmStatusConflict, "VM 'v1' is on host h-a already", "name another host");

    [Fact]
    public void What_is_not_there_is_named()
    {
        var nothing = new TableSlice(null, null, true);
        TableCommand[] commands =
        [
            new ReportRunning("v1", Started, []), new SaveVm("v1"), new RestoreVm("v1", "h-a", Other, []), new BeginMigration("v1", "h-b"),
            new FinishMigration("v1", []), new AbortMigration("v1"), new StopVm("v1"),
        ];
        Assert.All(commands, command =>
            AssertRefused(nothing, command, TenantErrors.VmUnknown, "there is no VM 'v1' in the tenant table", "list the VMs for those there are"));
        Assert.All((TableCommand[])[new RotateTenant("acme"), new RemoveTenant("acme")], command =>
            AssertRefused(nothing, command, TenantErrors.TenantUnknown, "there is no tenant 'acme'", "list the tenants for those there are"));
    }

    [Fact]
    public void An_earlier_start_speaks_for_no_later_one()
    {
        TableCommand[] commands = [new ReportRunning("v1", Other, []), new SaveVm("v1", Other), new BeginMigration("v1", "h-b", Other), new FinishMigration("v1", [], Other), new AbortMigration("v1", Other)];
        Assert.All(commands, command => AssertRefused(
            Of(VmStatus.Running), command, TenantErrors.VmReplaced, "VM 'v1' was stopped, and its name belongs to a later start on host h-a", "end this VM's process"));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_tenant_with_vms_is_not_removed(long vms) => AssertRefused(
        new TableSlice(Tenant(vms), null, true),
        new RemoveTenant("acme"),
        TenantErrors.TenantInUse,
        $"tenant 'acme' has {vms} VMs",
        "stop them, and discard the saved ones, first");

    [Fact]
    public void A_vm_whose_tenant_is_missing_is_a_damaged_store() => AssertRefused(
        Of(VmStatus.Running) with { Tenant = null },
        new StopVm("v1"),
        TenantErrors.StoreCorrupt,
        "VM 'v1' belongs to tenant 'acme', which is missing",
        "check the whole store");

    private static void AssertRefused(TableSlice slice, TableCommand command, ErrorCode code, string problem, string remedy)
    {
        KaslrMtException error = Assert.Throws<KaslrMtException>(() => TenantRules.Decide(slice, command, Now));
        Assert.Equal((code, problem, remedy), (error.Code, error.Problem, error.Remedy));
    }
}

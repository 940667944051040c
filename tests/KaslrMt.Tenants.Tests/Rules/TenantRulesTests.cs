using FsCheck;
using FsCheck.Fluent;
using KaslrMt.Layout;

namespace KaslrMt.Tenants.Tests.Rules;

/// <summary>The rules hold whatever the order of commands, sensible or not.</summary>
public sealed class TenantRulesTests
{
    private static readonly string[] TenantNames = ["acme", "beta", "corp"];
    private static readonly string[] VmNames = ["v1", "v2", "v3", "v4"];
    private static readonly string[] HostIds = ["h-a", "h-b"];
    private static readonly Guid[] Incarnations = [.. Enumerable.Range(1, 6).Select(i => new Guid(i, 0, 0, new byte[8]))];

    [Fact]
    public void No_sequence_of_commands_breaks_an_invariant()
    {
        Gen<(int, int, int, int, int)> step =
            from kind in Gen.Choose(0, 14)
            from tenant in Gen.Choose(0, 2)
            from vm in Gen.Choose(0, 3)
            from host in Gen.Choose(0, 1)
            from incarnation in Gen.Choose(0, 5)
            select (kind, tenant, vm, host, incarnation);
        Prop.ForAll(Arb.From(Gen.ListOf(step)), steps =>
        {
            var model = new ModelTable();
            foreach ((int kind, int tenant, int vm, int host, int incarnation) in steps)
            {
                Step(model, kind, TenantNames[tenant], VmNames[vm], HostIds[host], Incarnations[incarnation]);
                AssertSound(model);
            }

            Assert.Empty(model.Check());
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(2000).WithEndSize(200));
    }

    [Fact]
    public void A_command_that_carries_an_incarnation_can_be_repeated()
    {
        var model = new ModelTable();
        StartVm start = Table.Start("acme", "v1");
        Assert.True(model.Apply(start).Changes);
        Assert.False(model.Apply(start).Changes);
        Assert.True(model.Apply(new StopVm("v1", start.Incarnation)).Changes);
        Assert.False(model.Apply(new StopVm("v1", start.Incarnation)).Changes);
        Assert.Equal(0, model.Tenants["acme"].Vms);
    }

    [Fact]
    public void A_late_stop_of_an_earlier_start_leaves_the_names_new_owner_alone()
    {
        var model = new ModelTable();
        StartVm first = Table.Start("acme", "v1");
        model.Apply(first);
        model.Apply(new StopVm("v1"));
        StartVm second = Table.Start("acme", "v1");
        model.Apply(second);
        Assert.False(model.Apply(new StopVm("v1", first.Incarnation)).Changes);
        Assert.Equal(second.Incarnation, model.Vms["v1"].Incarnation);
    }

    [Fact]
    public void Reconciliation_does_not_stop_what_was_reported_anew_meanwhile()
    {
        var model = new ModelTable();
        StartVm start = Table.Start("acme", "v1");
        model.Apply(start);
        DateTimeOffset seen = model.Vms["v1"].Since;
        model.Apply(new ReportRunning("v1", start.Incarnation, [ProcessMark.Current]));
        Assert.False(model.Apply(new StopVm("v1", start.Incarnation, "gone", seen)).Changes);
        Assert.Single(model.Vms);
    }

    [Fact]
    public void A_vm_that_comes_back_after_its_eviction_is_shown_under_its_own_generation()
    {
        var model = new ModelTable();
        model.Apply(Table.Start("acme", "v1"));
        VmRecord kept = model.Vms["v1"];
        model.Alive.Remove("h-a");
        Assert.Equal(KeyEffect.Purged, model.Apply(new EvictVm("v1", "h-a", false)).Key);
        model.Apply(Table.Start("acme", "v2", "h-b"));
        model.Alive.Add("h-a");
        model.Apply(new ReattachVm(kept));
        Assert.Equal((1L, 2L, 2L), (model.Vms["v1"].Generation, model.Vms["v2"].Generation, model.Tenants["acme"].Vms));
        Assert.Empty(model.Check());
    }

    [Theory]
    [InlineData("key changed", "a key was made under a running VM")]
    [InlineData("key kept", "the last VM stopped and the key stayed")]
    [InlineData("key shared", "a key was had before")]
    [InlineData("key purged early", "a key was purged under a running VM")]
    public void The_checker_finds_a_broken_history(string how, string expected)
    {
        var check = new HistoryCheck();
        AuditEntry start = Entry("start", "acme", "v1", KeyEffect.Created, "k1", 1);
        check.Add(start);
        AuditEntry[] rest = how switch
        {
            "key changed" => [Entry("start", "acme", "v2", KeyEffect.Created, "k2", 2)],
            "key kept" => [Entry("stop", "acme", "v1", KeyEffect.None, "k1", 1)],
            "key shared" => [Entry("start", "beta", "v2", KeyEffect.Created, "k1", 1)],
            _ => [Entry("start", "acme", "v2", KeyEffect.None, "k1", 1), Entry("stop", "acme", "v1", KeyEffect.Purged, "k1", 1)],
        };
        Array.ForEach(rest, check.Add);
        Assert.Contains(check.Faults, fault => fault.Contains(expected, StringComparison.Ordinal));
    }

    private static AuditEntry Entry(string action, string tenant, string vm, KeyEffect key, string keyId, long generation) => new()
    {
        At = DateTimeOffset.UnixEpoch,
        Actor = Table.Tester,
        Action = action,
        Tenant = tenant,
        Vm = vm,
        Key = key,
        KeyId = keyId,
        Generation = generation,
    };

    private static void Step(ModelTable model, int kind, string tenant, string vm, string host, Guid incarnation)
    {
        try
        {
            switch (kind)
            {
                case 13:
                    model.Alive.Remove(host);
                    break;
                case 14:
                    model.Alive.Add(host);
                    break;
                default:
                    model.Apply(Command(kind, tenant, vm, host, incarnation));
                    break;
            }
        }
        catch (KaslrMtException error)
        {
            // Refusals are part of the game; the table must be sound after them, too.
            Assert.InRange(error.Code.Number, 4003, 4012);
        }
    }

    private static TableCommand Command(int kind, string tenant, string vm, string host, Guid incarnation) => kind switch
    {
        0 or 1 => new StartVm(tenant, vm, host, Policy.Default, incarnation, [ProcessMark.Current]),
        2 => new ReportRunning(vm, incarnation, [ProcessMark.Current]),
        3 => new SaveVm(vm),
        4 => new RestoreVm(vm, host, incarnation, []),
        5 => new BeginMigration(vm, host),
        6 => new FinishMigration(vm, [ProcessMark.Current]),
        7 => new AbortMigration(vm),
        8 => new StopVm(vm, incarnation),
        9 => new StopVm(vm),
        10 => new EvictVm(vm, host, incarnation.GetHashCode() % 2 == 0),
        11 => new RotateTenant(tenant),
        _ => new RemoveTenant(tenant),
    };

    private static void AssertSound(ModelTable model)
    {
        foreach (TenantRecord tenant in model.Tenants.Values)
        {
            VmRecord[] vms = [.. model.Vms.Values.Where(vm => vm.Tenant == tenant.Name)];
            Assert.Equal(vms.Length, tenant.Vms);
            Assert.Equal(vms.Length > 0, tenant.HasKey);
            Assert.All(vms, vm => Assert.Equal(tenant.Generation, vm.Generation));
            Assert.All(vms, vm => Assert.Equal(vm.Status == VmStatus.Migrating, vm.Target is not null));
        }
    }
}

namespace KaslrMt.Tenants.Tests.Rules;

/// <summary>The rules over dictionaries: a store without storage.</summary>
internal sealed class ModelTable
{
    private long _keys;

    internal Dictionary<string, TenantRecord> Tenants { get; } = [];

    internal Dictionary<string, VmRecord> Vms { get; } = [];

    internal HashSet<string> Alive { get; } = ["h-a", "h-b"];

    internal List<AuditEntry> Log { get; } = [];

    internal DateTimeOffset Now { get; private set; } = DateTimeOffset.UnixEpoch;

    internal Decision Apply(TableCommand command)
    {
        Now = Now.AddSeconds(1);
        VmRecord? vm = command.VmName is { } name ? Vms.GetValueOrDefault(name) : null;
        TenantRecord? tenant = (command.TenantName ?? vm?.Tenant) is { } owner ? Tenants.GetValueOrDefault(owner) : null;
        var before = new TableSlice(tenant, vm, command.HostId is not { } host || Alive.Contains(host));
        Decision after = TenantRules.Decide(before, command, Now);
        if (!after.Changes)
        {
            return after;
        }

        if (after.Key == KeyEffect.Created)
        {
            after = after with { Tenant = after.Tenant! with { KeyId = $"key-{++_keys}" } };
        }

        Log.Add(AuditEntry.Of(before, after, Table.Tester, Now) with { Sequence = Log.Count + 1 });
        Put(Tenants, tenant?.Name, after.Tenant?.Name, after.Tenant);
        Put(Vms, vm?.Name, after.Vm?.Name, after.Vm);
        return after;
    }

    internal IReadOnlyList<string> Check()
    {
        var check = new HistoryCheck();
        Log.ForEach(check.Add);
        check.Finish(Tenants.Values, Vms.Values);
        return check.Faults;
    }

    private static void Put<T>(Dictionary<string, T> table, string? before, string? after, T? value)
    {
        if (after is not null)
        {
            table[after] = value!;
        }
        else if (before is not null)
        {
            table.Remove(before);
        }
    }
}

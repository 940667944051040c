using System.Collections.Immutable;
using KaslrMt.Layout;

namespace KaslrMt.Tenants.Sqlite;

/// <summary>Makes records of rows.</summary>
internal static class SqliteRows
{
    internal const string TenantColumns =
        "t.tenant, t.generation, t.vms, t.rotation, t.created, k.created, k.fingerprint, k.generation, k.kek, k.sealed";

    internal const string VmColumns =
        "v.name, v.tenant, v.host, v.target, v.generation, v.policy, v.release, v.status, v.incarnation, v.processes, v.created, v.since";

    internal const string AuditColumns =
        "sequence, at, uid, user, process, actor_host, action, tenant, vm, host, generation, key, key_id, detail";

    /// <summary>The number of columns of <see cref="VmColumns"/>.</summary>
    internal const int VmWidth = 12;

    /// <summary>The number of columns of <see cref="TenantColumns"/>.</summary>
    internal const int TenantWidth = 10;

    internal static (TenantRecord Tenant, SealedKey? Key) Tenant(SqliteRow row) => Tenant(row, 0);

    internal static (TenantRecord Tenant, SealedKey? Key) Tenant(SqliteRow row, int first)
    {
        SealedKey? key = row.IsNull(first + 9)
            ? null
            : new SealedKey(row.Long(first + 7), row.Int(first + 8), row.Bytes(first + 9), row.Bytes(first + 6));
        var tenant = new TenantRecord
        {
            Name = row.Text(first),
            Generation = row.Long(first + 1),
            Vms = row.Long(first + 2),
            RotationPending = row.Long(first + 3) != 0,
            Created = Time(row, first + 4),
            KeyCreated = key is null ? null : Time(row, first + 5),
            KeyId = key?.KeyId,
        };
        return (tenant, key);
    }

    internal static VmRecord Vm(SqliteRow row) => new()
    {
        Name = row.Text(0),
        Tenant = row.Text(1),
        Host = row.Text(2),
        Target = row.TextOrNull(3),
        Generation = row.Long(4),
        Policy = PolicyOf(row.Text(5)) ?? throw Malformed(row.Text(0)),
        Release = row.TextOrNull(6),
        Status = Enum.IsDefined((VmStatus)row.Long(7)) ? (VmStatus)row.Long(7) : throw Malformed(row.Text(0)),
        Incarnation = row.Bytes(8) is { Length: 16 } incarnation ? new Guid(incarnation) : throw Malformed(row.Text(0)),
        Processes = [.. row.Text(9).Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(ProcessMark.Parse)],
        Started = Time(row, 10),
        Since = Time(row, 11),
    };

    internal static AuditEntry Audit(SqliteRow row) => new()
    {
        Sequence = row.Long(0),
        At = Time(row, 1),
        Actor = new Actor((uint)row.Long(2), row.Text(3), row.Int(4), row.Text(5)),
        Action = row.Text(6),
        Tenant = row.TextOrNull(7),
        Vm = row.TextOrNull(8),
        Host = row.TextOrNull(9),
        Generation = row.Long(10),
        Key = (KeyEffect)row.Int(11),
        KeyId = row.TextOrNull(12),
        Detail = row.TextOrNull(13),
    };

    internal static string Processes(ImmutableArray<ProcessMark> processes) => string.Join(' ', processes);

    private static KaslrMtException Malformed(string vm) =>
        new(TenantErrors.StoreCorrupt, $"the record of VM '{vm}' is malformed", "check the whole store");

    private static Policy? PolicyOf(string text)
    {
        try
        {
            return Policy.Parse(text);
        }
        catch (KaslrMtException)
        {
            return null;
        }
    }

    /// <summary>Reads a time from a column, in milliseconds since 1970.</summary>
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.StoreCorrupt"/>: there is no such day.</exception>
    internal static DateTimeOffset Time(SqliteRow row, int column) =>
        row.Long(column) is var time && time >= DateTimeOffset.MinValue.ToUnixTimeMilliseconds() && time <= DateTimeOffset.MaxValue.ToUnixTimeMilliseconds()
            ? DateTimeOffset.FromUnixTimeMilliseconds(time)
            : throw new KaslrMtException(TenantErrors.StoreCorrupt, $"a time in the tenant table is malformed ({time})", "restore a backup");
}

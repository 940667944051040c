using System.Collections.Immutable;
using KaslrMt.Layout;
using Microsoft.Data.Sqlite;

namespace KaslrMt.Tenants.Sqlite;

/// <summary>Makes records of rows.</summary>
internal static class SqliteRows
{
    internal const string TenantColumns =
        "t.name, t.generation, t.vms, t.rotation, t.created, k.created, k.fingerprint, k.generation, k.kek, k.sealed";

    internal const string VmColumns =
        "name, tenant, host, target, generation, policy, release, status, incarnation, processes, started, since";

    internal const string AuditColumns =
        "sequence, at, uid, user, process, actor_host, action, tenant, vm, host, generation, key, key_id, detail";

    internal static (TenantRecord Tenant, SealedKey? Key) Tenant(SqliteDataReader row)
    {
        SealedKey? key = row.IsDBNull(9) ? null : new SealedKey(row.GetInt64(7), row.GetInt32(8), Bytes(row, 9), Bytes(row, 6));
        var tenant = new TenantRecord
        {
            Name = row.GetString(0),
            Generation = row.GetInt64(1),
            Vms = row.GetInt64(2),
            RotationPending = row.GetInt64(3) != 0,
            Created = Time(row, 4),
            KeyCreated = row.IsDBNull(5) ? null : Time(row, 5),
            KeyId = key?.KeyId,
        };
        return (tenant, key);
    }

    internal static VmRecord Vm(SqliteDataReader row) => new()
    {
        Name = row.GetString(0),
        Tenant = row.GetString(1),
        Host = row.GetString(2),
        Target = Text(row, 3),
        Generation = row.GetInt64(4),
        Policy = Policy.Parse(row.GetString(5)),
        Release = Text(row, 6),
        Status = (VmStatus)row.GetInt32(7),
        Incarnation = Bytes(row, 8) is { Length: 16 } incarnation ? new Guid(incarnation) : throw Malformed(row.GetString(0)),
        Processes = [.. row.GetString(9).Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(ProcessMark.Parse)],
        Started = Time(row, 10),
        Since = Time(row, 11),
    };

    internal static AuditEntry Audit(SqliteDataReader row) => new()
    {
        Sequence = row.GetInt64(0),
        At = Time(row, 1),
        Actor = new Actor((uint)row.GetInt64(2), row.GetString(3), row.GetInt32(4), row.GetString(5)),
        Action = row.GetString(6),
        Tenant = Text(row, 7),
        Vm = Text(row, 8),
        Host = Text(row, 9),
        Generation = row.GetInt64(10),
        Key = (KeyEffect)row.GetInt32(11),
        KeyId = Text(row, 12),
        Detail = Text(row, 13),
    };

    internal static string Processes(ImmutableArray<ProcessMark> processes) => string.Join(' ', processes);

    private static KaslrMtException Malformed(string vm) =>
        new(TenantErrors.StoreCorrupt, $"the record of VM '{vm}' is malformed", "run 'kaslrmt store check'");

    private static DateTimeOffset Time(SqliteDataReader row, int column) => DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(column));

    private static string? Text(SqliteDataReader row, int column) => row.IsDBNull(column) ? null : row.GetString(column);

    private static byte[] Bytes(SqliteDataReader row, int column) => row.GetFieldValue<byte[]>(column);
}

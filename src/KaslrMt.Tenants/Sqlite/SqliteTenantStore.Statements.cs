using SQLitePCL;

namespace KaslrMt.Tenants.Sqlite;

public sealed partial class SqliteTenantStore
{
    private sealed class Statements(sqlite3 database) : IDisposable
    {
        private const string Key = "LEFT JOIN tenant_key k ON k.tenant = t.tenant";

        private readonly List<SqliteStatement> _all = [];

        internal SqliteStatement Begin => field ??= Prepare("BEGIN IMMEDIATE", 0);

        internal SqliteStatement Commit => field ??= Prepare("COMMIT", 0);

        // All that a command reads, in one round: its VM, its tenant (the command's, else the VM's) with the key, its host's lease; and whether the
        // tenant's placement stays as it is when the VM comes to the host, or (where ?4 says so) goes from its own.
        internal SqliteStatement FindSlice => field ??= Prepare(
            $"""
            SELECT {SqliteRows.VmColumns}, {SqliteRows.TenantColumns}, h.lease_until,
              CASE WHEN v.name IS NULL THEN EXISTS (SELECT 1 FROM placement p WHERE p.host = ?3 AND p.tenant = ?2)
                WHEN ?4 THEN EXISTS (
                  SELECT 1 FROM record o WHERE o.tenant = v.tenant AND o.name > '' AND o.name <> v.name AND (o.host = v.host OR o.target = v.host)) END
            FROM (SELECT 1) LEFT JOIN record n ON n.tenant = '~' AND n.name = ?1 LEFT JOIN record v ON v.tenant = n.owner AND v.name = n.name
              LEFT JOIN record t ON t.tenant = coalesce(?2, n.owner) AND t.name = '' {Key} LEFT JOIN host h ON h.id = ?3
            """,
            4);

        internal SqliteStatement FindTenant => field ??= Prepare($"SELECT {SqliteRows.TenantColumns} FROM record t {Key} WHERE t.tenant = ?1 AND t.name = ''", 1);

        // The index has the tenants only: their VMs are not read past.
        internal SqliteStatement TenantPage => field ??= Prepare(
            $"""
            SELECT {SqliteRows.TenantColumns} FROM record t INDEXED BY tenant_name {Key}
            WHERE t.host IS NULL AND t.owner IS NULL AND t.tenant > ?1 ORDER BY t.tenant LIMIT ?2
            """,
            2);

        internal SqliteStatement FindVm => field ??= Prepare(
            $"""
            SELECT {SqliteRows.VmColumns} FROM record n CROSS JOIN record v ON v.tenant = n.owner AND v.name = n.name WHERE n.tenant = '~' AND n.name = ?1
            """,
            1);

        internal SqliteStatement VmPage => field ??= Prepare(
            $"""
            SELECT {SqliteRows.VmColumns} FROM record v WHERE (v.tenant, v.name) > (?1, ?2) AND v.tenant < '~' AND v.name > ''
            ORDER BY v.tenant, v.name LIMIT ?3
            """,
            3);

        internal SqliteStatement VmPageOfTenant =>
            field ??= Prepare($"SELECT {SqliteRows.VmColumns} FROM record v WHERE v.tenant = ?1 AND v.name > ?2 ORDER BY v.name LIMIT ?3", 3);

        internal SqliteStatement VmPageOfHost => field ??= Prepare(SqlitePlacement.PageOfHost, 4);

        internal SqliteStatement FindLease => field ??= Prepare("SELECT lease_until FROM host WHERE id = ?1", 1);

        internal SqliteStatement Hosts => field ??= Prepare("SELECT id, name, boot, lease_until, joined FROM host ORDER BY id", 0);

        internal SqliteStatement PutHost => field ??= Prepare(
            """
            INSERT INTO host (id, name, boot, lease_until, joined) VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT (id) DO UPDATE SET name = ?2, boot = ?3, lease_until = max(lease_until, ?4)
            """,
            5);

        internal SqliteStatement DeleteHost => field ??= Prepare("DELETE FROM host WHERE id = ?1", 1);

        internal SqliteStatement VmOfHost => field ??= Prepare(SqlitePlacement.AnyOfHost, 1);

        internal SqliteStatement AddTenant =>
            field ??= Prepare("INSERT INTO record (tenant, name, generation, vms, rotation, created) VALUES (?1, '', ?2, ?3, ?4, ?5)", 5);

        internal SqliteStatement UpdateTenant =>
            field ??= Prepare("UPDATE record SET generation = ?2, vms = ?3, rotation = ?4 WHERE tenant = ?1 AND name = ''", 4);

        internal SqliteStatement DeleteTenant => field ??= Prepare("DELETE FROM record WHERE tenant = ?1 AND name = ''", 1);

        internal SqliteStatement PutKey => field ??= Prepare(
            "INSERT INTO tenant_key (tenant, generation, kek, sealed, fingerprint, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6)", 6);

        internal SqliteStatement DeleteKey => field ??= Prepare("DELETE FROM tenant_key WHERE tenant = ?1", 1);

        internal SqliteStatement KeyPage => field ??= Prepare(
            "SELECT tenant, generation, kek, sealed, fingerprint FROM tenant_key WHERE tenant > ?1 ORDER BY tenant LIMIT ?2", 2);

        internal SqliteStatement RewrapKey => field ??= Prepare("UPDATE tenant_key SET kek = ?2, sealed = ?3 WHERE tenant = ?1", 3);

        internal SqliteStatement AddVm => field ??= Prepare(
            """
            INSERT INTO record (name, tenant, host, target, generation, policy, release, status, incarnation, processes, created, since)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
            """,
            12);

        internal SqliteStatement UpdateVm => field ??= Prepare(
            """
            UPDATE record SET host = ?3, target = ?4, release = ?5, status = ?6, incarnation = ?7, processes = ?8, since = ?9
            WHERE tenant = ?2 AND name = ?1
            """,
            9);

        internal SqliteStatement DeleteVm => field ??= Prepare("DELETE FROM record WHERE tenant = ?1 AND name = ?2", 2);

        internal SqliteStatement AddName => field ??= Prepare("INSERT INTO record (tenant, name, owner) VALUES ('~', ?1, ?2)", 2);

        internal SqliteStatement DeleteName => field ??= Prepare("DELETE FROM record WHERE tenant = '~' AND name = ?1", 1);

        internal SqliteStatement AddPlacement => field ??= Prepare(SqlitePlacement.Add, 2);

        internal SqliteStatement DeletePlacement => field ??= Prepare(SqlitePlacement.Delete, 2);

        internal SqliteStatement PutAudit => field ??= Prepare(
            """
            INSERT INTO audit (at, uid, user, process, actor_host, action, tenant, vm, host, generation, key, key_id, detail)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
            """,
            13);

        internal SqliteStatement AuditPage => field ??= Prepare(
            $"SELECT {SqliteRows.AuditColumns} FROM audit WHERE sequence > ?1 ORDER BY sequence LIMIT ?2", 2);

        internal SqliteStatement FirstAuditSince => field ??= Prepare(
            "SELECT coalesce((SELECT min(sequence) FROM audit WHERE at >= ?1), (SELECT max(sequence) + 1 FROM audit), 0)", 1);

        internal SqliteStatement CountAuditBefore => field ??= Prepare("SELECT count(*) FROM audit WHERE sequence < ?1", 1);

        internal SqliteStatement TrimAudit => field ??= Prepare("DELETE FROM audit WHERE sequence < ?1", 1);

        internal SqliteStatement FindSeal => field ??= Prepare("SELECT store, kek, fingerprint_key FROM seal", 0);

        internal SqliteStatement PutSeal => field ??= Prepare("INSERT OR REPLACE INTO seal (one, store, kek, fingerprint_key) VALUES (1, ?1, ?2, ?3)", 3);

        internal SqliteStatement DataVersion => field ??= Prepare("PRAGMA data_version", 0);

        public void Dispose() => _all.ForEach(statement => statement.Dispose());

        private SqliteStatement Prepare(string text, int parameters)
        {
            var statement = new SqliteStatement(database, text, parameters);
            _all.Add(statement);
            return statement;
        }
    }
}

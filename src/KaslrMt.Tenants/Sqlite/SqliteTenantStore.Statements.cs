using SQLitePCL;

namespace KaslrMt.Tenants.Sqlite;

public sealed partial class SqliteTenantStore
{
    private sealed class Statements(sqlite3 database) : IDisposable
    {
        private const string TenantSource = "FROM tenant t LEFT JOIN tenant_key k ON k.tenant = t.name";

        private readonly List<SqliteStatement> _all = [];

        internal SqliteStatement Begin => field ??= Prepare("BEGIN IMMEDIATE", 0);

        internal SqliteStatement Commit => field ??= Prepare("COMMIT", 0);

        // All that a command reads, in one round: its VM, its tenant (the command's, else the VM's) with the key, and its host's lease.
        internal SqliteStatement FindSlice => field ??= Prepare(
            $"""
            SELECT {SqliteRows.VmColumns}, {SqliteRows.TenantColumns}, h.lease_until
            FROM (SELECT 1) LEFT JOIN vm v ON v.name = ?1
              LEFT JOIN tenant t ON t.name = coalesce(?2, v.tenant) LEFT JOIN tenant_key k ON k.tenant = t.name
              LEFT JOIN host h ON h.id = ?3
            """,
            3);

        internal SqliteStatement FindTenant => field ??= Prepare($"SELECT {SqliteRows.TenantColumns} {TenantSource} WHERE t.name = ?1", 1);

        internal SqliteStatement TenantPage =>
            field ??= Prepare($"SELECT {SqliteRows.TenantColumns} {TenantSource} WHERE t.name > ?1 ORDER BY t.name LIMIT ?2", 2);

        internal SqliteStatement FindVm => field ??= Prepare($"SELECT {SqliteRows.VmColumns} FROM vm v WHERE name = ?1", 1);

        internal SqliteStatement VmPage =>
            field ??= Prepare($"SELECT {SqliteRows.VmColumns} FROM vm v WHERE (tenant, name) > (?1, ?2) ORDER BY tenant, name LIMIT ?3", 3);

        internal SqliteStatement VmPageOfTenant =>
            field ??= Prepare($"SELECT {SqliteRows.VmColumns} FROM vm v WHERE tenant = ?1 AND name > ?2 ORDER BY name LIMIT ?3", 3);

        // Two index walks that SQLite merges: no page of it sorts, or reads another host's VMs.
        internal SqliteStatement VmPageOfHost => field ??= Prepare(
            $"""
            SELECT {SqliteRows.VmColumns} FROM vm v WHERE host = ?1 AND (tenant, name) > (?2, ?3)
            UNION ALL
            SELECT {SqliteRows.VmColumns} FROM vm v WHERE target = ?1 AND host <> ?1 AND (tenant, name) > (?2, ?3)
            ORDER BY tenant, name LIMIT ?4
            """,
            4);

        internal SqliteStatement FindLease => field ??= Prepare("SELECT lease_until FROM host WHERE id = ?1", 1);

        internal SqliteStatement Hosts => field ??= Prepare("SELECT id, name, boot, lease_until, joined FROM host ORDER BY id", 0);

        internal SqliteStatement PutHost => field ??= Prepare(
            """
            INSERT INTO host (id, name, boot, lease_until, joined) VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT (id) DO UPDATE SET name = ?2, boot = ?3, lease_until = max(lease_until, ?4)
            """,
            5);

        internal SqliteStatement DeleteHost => field ??= Prepare("DELETE FROM host WHERE id = ?1", 1);

        internal SqliteStatement VmOfHost => field ??= Prepare("SELECT name FROM vm WHERE host = ?1 OR target = ?1 LIMIT 1", 1);

        internal SqliteStatement AddTenant =>
            field ??= Prepare("INSERT INTO tenant (name, generation, vms, rotation, created) VALUES (?1, ?2, ?3, ?4, ?5)", 5);

        internal SqliteStatement UpdateTenant => field ??= Prepare("UPDATE tenant SET generation = ?2, vms = ?3, rotation = ?4 WHERE name = ?1", 4);

        internal SqliteStatement DeleteTenant => field ??= Prepare("DELETE FROM tenant WHERE name = ?1", 1);

        internal SqliteStatement PutKey => field ??= Prepare(
            "INSERT INTO tenant_key (tenant, generation, kek, sealed, fingerprint, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6)", 6);

        internal SqliteStatement DeleteKey => field ??= Prepare("DELETE FROM tenant_key WHERE tenant = ?1", 1);

        internal SqliteStatement KeyPage => field ??= Prepare(
            "SELECT tenant, generation, kek, sealed, fingerprint FROM tenant_key WHERE tenant > ?1 ORDER BY tenant LIMIT ?2", 2);

        internal SqliteStatement RewrapKey => field ??= Prepare("UPDATE tenant_key SET kek = ?2, sealed = ?3 WHERE tenant = ?1", 3);

        internal SqliteStatement AddVm => field ??= Prepare(
            """
            INSERT INTO vm (name, tenant, host, target, generation, policy, release, status, incarnation, processes, started, since)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
            """,
            12);

        internal SqliteStatement UpdateVm => field ??= Prepare(
            """
            UPDATE vm SET host = ?3, target = ?4, release = ?5, status = ?6, incarnation = ?7, processes = ?8, since = ?9
            WHERE tenant = ?2 AND name = ?1
            """,
            9);

        internal SqliteStatement DeleteVm => field ??= Prepare("DELETE FROM vm WHERE tenant = ?1 AND name = ?2", 2);

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

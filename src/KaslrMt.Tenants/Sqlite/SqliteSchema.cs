using System.Globalization;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace KaslrMt.Tenants.Sqlite;

/// <summary>The database's schema and how an older one becomes the newest.</summary>
internal static class SqliteSchema
{
    /// <summary>"KMTT" in the file's header: tells a tenant table from any other database.</summary>
    private const int ApplicationId = 0x4b4d5454;

    // Script i makes version i + 1 of version i. Released scripts are never changed.
    private static readonly string[] Migrations =
    [
        """
        CREATE TABLE seal (one INTEGER PRIMARY KEY CHECK (one = 1), store BLOB NOT NULL, kek INTEGER NOT NULL, fingerprint_key BLOB NOT NULL) STRICT;
        CREATE TABLE tenant (
          name TEXT PRIMARY KEY, generation INTEGER NOT NULL, vms INTEGER NOT NULL CHECK (vms >= 0), rotation INTEGER NOT NULL,
          created INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE tenant_key (
          tenant TEXT PRIMARY KEY, generation INTEGER NOT NULL, kek INTEGER NOT NULL, sealed BLOB NOT NULL, fingerprint BLOB NOT NULL UNIQUE,
          created INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE vm (
          tenant TEXT NOT NULL, name TEXT NOT NULL UNIQUE, host TEXT NOT NULL, target TEXT, generation INTEGER NOT NULL, policy TEXT NOT NULL,
          release TEXT, status INTEGER NOT NULL, incarnation BLOB NOT NULL, processes TEXT NOT NULL, started INTEGER NOT NULL, since INTEGER NOT NULL,
          PRIMARY KEY (tenant, name)) STRICT, WITHOUT ROWID;
        CREATE TABLE host (
          id TEXT PRIMARY KEY, name TEXT NOT NULL, boot TEXT NOT NULL, lease_until INTEGER NOT NULL, joined INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE audit (
          sequence INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, uid INTEGER NOT NULL, user TEXT NOT NULL, process INTEGER NOT NULL,
          actor_host TEXT NOT NULL, action TEXT NOT NULL, tenant TEXT, vm TEXT, host TEXT, generation INTEGER NOT NULL, key INTEGER NOT NULL,
          key_id TEXT, detail TEXT) STRICT;
        """,

        // A host's VMs are found without reading all hosts'.
        """
        CREATE INDEX vm_host ON vm (host, tenant, name);
        CREATE INDEX vm_target ON vm (target, tenant, name) WHERE target IS NOT NULL;
        """,

        // AUTOINCREMENT keeps its own table, one more page in each commit. The log's last entry is never removed, so its numbers ascend without it.
        """
        CREATE TABLE log (
          sequence INTEGER PRIMARY KEY, at INTEGER NOT NULL, uid INTEGER NOT NULL, user TEXT NOT NULL, process INTEGER NOT NULL,
          actor_host TEXT NOT NULL, action TEXT NOT NULL, tenant TEXT, vm TEXT, host TEXT, generation INTEGER NOT NULL, key INTEGER NOT NULL,
          key_id TEXT, detail TEXT) STRICT;
        INSERT INTO log SELECT * FROM audit;
        DROP TABLE audit;
        ALTER TABLE log RENAME TO audit;
        """,

        // A commit writes every page it touches, so what changes together stands together. One tree holds a tenant ('acme', ''), next to it its VMs
        // ('acme', 'v'), and for each VM's name whose it is ('~', 'v'): '~' comes after every legal name. In a small table all that is one page.
        // Where a tenant has VMs changes seldom: its other VMs on a host make no write, as an index over VMs' hosts would. The index's condition
        // compares with no value: SQLite would prepare statements again for each value bound, to see whether it is that one.
        """
        CREATE TABLE record (
          tenant TEXT NOT NULL, name TEXT NOT NULL, generation INTEGER, created INTEGER, vms INTEGER CHECK (vms >= 0), rotation INTEGER,
          host TEXT, target TEXT, policy TEXT, release TEXT, status INTEGER, incarnation BLOB, processes TEXT, since INTEGER, owner TEXT,
          PRIMARY KEY (tenant, name),
          CHECK (CASE WHEN tenant = '~' THEN owner IS NOT NULL
            WHEN name = '' THEN generation + created + vms + rotation IS NOT NULL
            ELSE generation + created + status + since IS NOT NULL AND host IS NOT NULL AND policy IS NOT NULL AND incarnation IS NOT NULL
              AND processes IS NOT NULL END)) STRICT, WITHOUT ROWID;
        CREATE TABLE placement (host TEXT NOT NULL, tenant TEXT NOT NULL, PRIMARY KEY (host, tenant)) STRICT, WITHOUT ROWID;
        INSERT INTO record (tenant, name, generation, created, vms, rotation) SELECT name, '', generation, created, vms, rotation FROM tenant;
        INSERT INTO record (tenant, name, generation, created, host, target, policy, release, status, incarnation, processes, since)
          SELECT tenant, name, generation, started, host, target, policy, release, status, incarnation, processes, since FROM vm;
        INSERT INTO record (tenant, name, owner) SELECT '~', name, tenant FROM vm ORDER BY name;
        INSERT INTO placement SELECT host, tenant FROM vm UNION SELECT target, tenant FROM vm WHERE target IS NOT NULL;
        DROP TABLE vm;
        DROP TABLE tenant;
        CREATE INDEX tenant_name ON record (tenant) WHERE host IS NULL AND owner IS NULL;
        CREATE VIEW tenant AS SELECT tenant AS name, generation, vms, rotation, created FROM record WHERE host IS NULL AND owner IS NULL;
        CREATE VIEW vm AS SELECT tenant, name, host, target, generation, policy, release, status, incarnation, processes, created AS started, since
          FROM record WHERE name > '' AND tenant < '~';
        """,
    ];

    /// <summary>The version this program writes.</summary>
    internal static int Newest => Migrations.Length;

    /// <summary>Brings a database to the newest version; a new one from nothing.</summary>
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.StoreNewer"/>, <see cref="TenantErrors.StoreCorrupt"/> for another program's.</exception>
    internal static void Ensure(sqlite3 database, string path)
    {
        if (Version(database, path) == Newest)
        {
            return;
        }

        Execute(database, "BEGIN IMMEDIATE");
        try
        {
            // Asked again: another process may have done it while this one waited.
            for (long version = Version(database, path); version < Newest; version++)
            {
                Execute(database, Migrations[version]);
                Execute(database, string.Create(CultureInfo.InvariantCulture, $"PRAGMA user_version = {version + 1}; PRAGMA application_id = {ApplicationId}"));
            }

            Execute(database, "COMMIT");
        }
        catch
        {
            RollBack(database);
            throw;
        }
    }

    internal static void Execute(sqlite3 database, string text) => SqliteException.ThrowExceptionForRC(raw.sqlite3_exec(database, text), database);

    internal static long Number(sqlite3 database, string text)
    {
        using var statement = new SqliteStatement(database, text, 0);
        return statement.First(row => row.Long(0));
    }

    private static long Version(sqlite3 database, string path)
    {
        long version = Number(database, "PRAGMA user_version");
        long application = Number(database, "PRAGMA application_id");
        bool empty = Number(database, "SELECT count(*) FROM sqlite_schema") == 0;
        if (application != ApplicationId && !(empty && version == 0))
        {
            throw SqliteFault.Damaged(path, "another program's database");
        }

        return version <= Newest ? version : throw new KaslrMtException(
            TenantErrors.StoreNewer,
            string.Create(CultureInfo.InvariantCulture, $"the tenant table {path} has schema version {version}, this program knows up to {Newest}"),
            "use the kaslrmt that wrote it, or a newer one");
    }

    /// <summary>Rolls back, where SQLite has not done so by itself already (https://sqlite.org/lang_transaction.html, section 3).</summary>
    internal static void RollBack(sqlite3 database)
    {
        if (raw.sqlite3_get_autocommit(database) == 0)
        {
            Execute(database, "ROLLBACK");
        }
    }
}

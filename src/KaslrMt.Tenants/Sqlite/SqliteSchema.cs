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
            SqliteTransactions.RollBack(database);
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
}

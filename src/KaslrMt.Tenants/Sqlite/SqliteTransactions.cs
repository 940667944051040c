using SQLitePCL;

namespace KaslrMt.Tenants.Sqlite;

/// <summary>Ends a transaction that failed.</summary>
internal static class SqliteTransactions
{
    /// <summary>Rolls back, where SQLite has not done so by itself already (https://sqlite.org/lang_transaction.html, section 3).</summary>
    internal static void RollBack(sqlite3 database)
    {
        if (raw.sqlite3_get_autocommit(database) == 0)
        {
            SqliteSchema.Execute(database, "ROLLBACK");
        }
    }
}

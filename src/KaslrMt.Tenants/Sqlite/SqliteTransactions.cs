using Microsoft.Data.Sqlite;

namespace KaslrMt.Tenants.Sqlite;

/// <summary>Ends a transaction that failed.</summary>
internal static class SqliteTransactions
{
    /// <summary>Rolls back, where SQLite has not done so by itself already (https://sqlite.org/lang_transaction.html, section 3).</summary>
    internal static void RollBack(SqliteConnection connection)
    {
        if (connection.Handle is { IsInvalid: false } handle && SQLitePCL.raw.sqlite3_get_autocommit(handle) == 0)
        {
            SqliteSchema.Execute(connection, "ROLLBACK");
        }
    }
}

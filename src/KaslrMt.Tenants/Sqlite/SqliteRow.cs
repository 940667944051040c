using System.Text;
using SQLitePCL;

namespace KaslrMt.Tenants.Sqlite;

/// <summary>The row that a statement stands on. Columns count from 0.</summary>
internal readonly struct SqliteRow(sqlite3_stmt statement)
{
    internal bool IsNull(int column) => raw.sqlite3_column_type(statement, column) == raw.SQLITE_NULL;

    internal long Long(int column) => raw.sqlite3_column_int64(statement, column);

    internal int Int(int column) => raw.sqlite3_column_int(statement, column);

    /// <summary>The text as UTF-8, until the statement goes on.</summary>
    internal ReadOnlySpan<byte> Utf8(int column) => raw.sqlite3_column_blob(statement, column);

    internal string Text(int column) => Encoding.UTF8.GetString(Utf8(column));

    internal string? TextOrNull(int column) => IsNull(column) ? null : Text(column);

    internal byte[] Bytes(int column) => raw.sqlite3_column_blob(statement, column).ToArray();
}

using System.Text;
using SQLitePCL;

namespace KaslrMt.Tenants.Sqlite;

/// <summary>The row that a statement stands on. Columns count from 0.</summary>
internal readonly unsafe struct SqliteRow(nint statement)
{
    internal bool IsNull(int column) => SqliteNative.ColumnType(statement, column) == raw.SQLITE_NULL;

    internal long Long(int column) => SqliteNative.ColumnNumber(statement, column);

    internal int Int(int column) => (int)SqliteNative.ColumnNumber(statement, column);

    /// <summary>The text as UTF-8, until the statement goes on. Empty for NULL.</summary>
    internal ReadOnlySpan<byte> Utf8(int column)
    {
        // In this order: the length is that of the form last asked for (https://sqlite.org/c3ref/column_blob.html).
        byte* bytes = SqliteNative.ColumnBytes(statement, column);
        return new ReadOnlySpan<byte>(bytes, bytes is null ? 0 : SqliteNative.ColumnLength(statement, column));
    }

    internal string Text(int column) => Encoding.UTF8.GetString(Utf8(column));

    internal string? TextOrNull(int column) => IsNull(column) ? null : Text(column);

    internal byte[] Bytes(int column) => Utf8(column).ToArray();
}

using System.Text;
using SQLitePCL;

namespace KaslrMt.Tenants.Sqlite;

/// <summary>The row that a statement stands on. Columns count from 0.</summary>
internal readonly unsafe struct SqliteRow(nint statement)
{
    internal bool IsNull(int column) => SqliteNative.ColumnType(statement, column) == raw.SQLITE_NULL;

    internal long Long(int column) => SqliteNative.ColumnNumber(statement, column);

    internal int Int(int column) => (int)SqliteNative.ColumnNumber(statement, column);

    /// <summary>Returns the text as UTF-8, valid until the statement goes on; empty for NULL.</summary>
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

/// <summary>The value of a parameter: nothing, a number, a text or bytes. A struct, since a change binds thirty of them.</summary>
internal readonly record struct SqliteValue
{
    private SqliteValue(object? reference, long number, bool isNumber) => (Reference, Number, IsNumber) = (reference, number, isNumber);

    internal object? Reference { get; }

    internal long Number { get; }

    internal bool IsNumber { get; }

    /// <summary>Returns whether binding this value changes nothing where <paramref name="bound"/> is bound; false for bytes, which may have changed in place.</summary>
    internal bool IsBoundAs(SqliteValue bound) => IsNumber == bound.IsNumber
        && (IsNumber ? Number == bound.Number : Reference is null ? bound.Reference is null : Reference is string text && text == bound.Reference as string);

    public static implicit operator SqliteValue(long number) => new(null, number, isNumber: true);

    public static implicit operator SqliteValue(string? text) => new(text, 0, isNumber: false);

    public static implicit operator SqliteValue(byte[]? bytes) => new(bytes, 0, isNumber: false);
}

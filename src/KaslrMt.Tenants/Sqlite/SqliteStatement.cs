using System.Text;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace KaslrMt.Tenants.Sqlite;

/// <summary>A statement prepared once for a connection; its parameters are <c>?1</c>, <c>?2</c>, … (a name such as <c>$1</c> has no place of its own).</summary>
/// <remarks>
/// SQLite's own interface, not ADO's: there a statement costs as much managed work as SQLite's. Parameters stay bound, and only those that differ
/// are bound again (https://sqlite.org/c3ref/bind_blob.html). Waiting for others is <c>PRAGMA busy_timeout</c>'s.
/// </remarks>
internal sealed unsafe class SqliteStatement : IDisposable
{
    private const int ShortText = 256;

    private readonly sqlite3 _database;
    private readonly sqlite3_stmt _statement;
    private readonly nint _handle;
    private readonly SqliteValue[] _bound;

    internal SqliteStatement(sqlite3 database, string text, int parameters)
    {
        _database = database;
        Require(raw.sqlite3_prepare_v3(_database, text, raw.SQLITE_PREPARE_PERSISTENT, out _statement));
        _handle = _statement.DangerousGetHandle();
        _bound = new SqliteValue[parameters];
    }

    public void Dispose() => _statement.Dispose();

    /// <summary>Runs the statement to its end.</summary>
    internal void Run(params ReadOnlySpan<SqliteValue> values)
    {
        Bind(values);
        try
        {
            while (Step())
            {
                // A pragma answers with a row.
            }
        }
        finally
        {
            Rewind();
        }
    }

    /// <summary>Returns the first row, or default where the statement finds no row.</summary>
    internal T? First<T>(Func<SqliteRow, T> map, params ReadOnlySpan<SqliteValue> values)
    {
        Bind(values);
        try
        {
            return Step() ? map(new SqliteRow(_handle)) : default;
        }
        finally
        {
            Rewind();
        }
    }

    /// <summary>Returns all rows; the statement's own limit bounds their number.</summary>
    internal List<T> All<T>(Func<SqliteRow, T> map, params ReadOnlySpan<SqliteValue> values)
    {
        Bind(values);
        try
        {
            var rows = new List<T>();
            while (Step())
            {
                rows.Add(map(new SqliteRow(_handle)));
            }

            return rows;
        }
        finally
        {
            Rewind();
        }
    }

    // Its result is the last step's error once more.
    private void Rewind() => _ = SqliteNative.Reset(_handle);

    private bool Step()
    {
        int result = SqliteNative.Step(_handle);
        if (result == raw.SQLITE_ROW)
        {
            return true;
        }

        if (result != raw.SQLITE_DONE)
        {
            Require(result);
        }

        return false;
    }

    private void Bind(ReadOnlySpan<SqliteValue> values)
    {
        for (int i = 0; i < values.Length; i++)
        {
            if (!values[i].IsBoundAs(_bound[i]))
            {
                Bind(i + 1, values[i]);
                _bound[i] = values[i];
            }
        }
    }

    private void Bind(int index, SqliteValue value) => Require(value switch
    {
        { IsNumber: true } => SqliteNative.BindNumber(_handle, index, value.Number),
        { Reference: string text } => BindText(index, text),
        { Reference: byte[] bytes } => BindBytes(index, bytes),
        _ => SqliteNative.BindNull(_handle, index),
    });

    private int BindText(int index, string text)
    {
        // No bytes at all would be bound as NULL.
        if (text.Length is 0 or > ShortText)
        {
            return raw.sqlite3_bind_text(_statement, index, text);
        }

        byte* utf8 = stackalloc byte[ShortText * 3];
        return SqliteNative.BindText(_handle, index, utf8, Encoding.UTF8.GetBytes(text, new Span<byte>(utf8, ShortText * 3)), SqliteNative.Transient);
    }

    private int BindBytes(int index, byte[] bytes)
    {
        fixed (byte* first = bytes)
        {
            return SqliteNative.BindBlob(_handle, index, first, bytes.Length, SqliteNative.Transient);
        }
    }

    private void Require(int result)
    {
        if (result != raw.SQLITE_OK)
        {
            SqliteException.ThrowExceptionForRC(result, _database);
        }
    }
}

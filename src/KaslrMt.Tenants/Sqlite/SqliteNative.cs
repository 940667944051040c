using System.Runtime.InteropServices;

namespace KaslrMt.Tenants.Sqlite;

/// <summary>SQLite's calls for each column and parameter, of the library that SQLitePCL loads: a change makes a hundred of them.</summary>
/// <remarks>
/// Those that only read or write a field of the statement leave out the runtime's bookkeeping of native calls: they take nanoseconds and never wait.
/// The statement is kept alive by the <see cref="SqliteStatement"/> that owns it.
/// </remarks>
internal static unsafe partial class SqliteNative
{
    /// <summary>SQLite copies what is bound (https://sqlite.org/c3ref/c_static.html).</summary>
    internal const nint Transient = -1;

    private const string Library = "e_sqlite3";

    [LibraryImport(Library, EntryPoint = "sqlite3_step")]
    internal static partial int Step(nint statement);

    [LibraryImport(Library, EntryPoint = "sqlite3_reset")]
    internal static partial int Reset(nint statement);

    [LibraryImport(Library, EntryPoint = "sqlite3_bind_text")]
    internal static partial int BindText(nint statement, int index, byte* text, int length, nint destructor);

    [LibraryImport(Library, EntryPoint = "sqlite3_bind_blob")]
    internal static partial int BindBlob(nint statement, int index, byte* bytes, int length, nint destructor);

    [LibraryImport(Library, EntryPoint = "sqlite3_bind_int64")]
    internal static partial int BindNumber(nint statement, int index, long number);

    [LibraryImport(Library, EntryPoint = "sqlite3_bind_null")]
    internal static partial int BindNull(nint statement, int index);

    [LibraryImport(Library, EntryPoint = "sqlite3_column_type")]
    [SuppressGCTransition]
    internal static partial int ColumnType(nint statement, int column);

    [LibraryImport(Library, EntryPoint = "sqlite3_column_int64")]
    [SuppressGCTransition]
    internal static partial long ColumnNumber(nint statement, int column);

    [LibraryImport(Library, EntryPoint = "sqlite3_column_blob")]
    [SuppressGCTransition]
    internal static partial byte* ColumnBytes(nint statement, int column);

    [LibraryImport(Library, EntryPoint = "sqlite3_column_bytes")]
    [SuppressGCTransition]
    internal static partial int ColumnLength(nint statement, int column);
}

using System.Globalization;
using Microsoft.Data.Sqlite;

namespace KaslrMt.Tenants.Sqlite;

/// <summary>Makes numbered errors of SQLite's result codes (https://sqlite.org/rescode.html).</summary>
internal static class SqliteFault
{
    private const int SharedMemorySize = 4874; // SQLITE_IOERR_SHMSIZE
    private const int Busy = 5;
    private const int Locked = 6;
    private const int ReadOnly = 8;
    private const int Corrupt = 11;
    private const int Full = 13;
    private const int NotADatabase = 26;

    internal static KaslrMtException Of(SqliteException error, string path) => KindOf(error) switch
    {
        Corrupt or NotADatabase => Damaged(path, error.Message, error),
        Full => new KaslrMtException(
            TenantErrors.StoreFull,
            $"the tenant table {path} cannot grow: the disk is full",
            "free space on its file system; the change was not made, and nothing was lost",
            error),
        Busy or Locked => new KaslrMtException(
            TenantErrors.StoreBusy, $"the tenant table {path} was in use by others for too long", "try again; 'fuser' on the file names the processes that hold it", error),
        ReadOnly => new KaslrMtException(
            TenantErrors.StoreFailed, $"the tenant table {path} cannot be written", "check the owner and mode of the file and its directory", error),
        _ => new KaslrMtException(
            TenantErrors.StoreFailed,
            string.Create(CultureInfo.InvariantCulture, $"SQLite failed on the tenant table {path} (code {error.SqliteExtendedErrorCode}: {error.Message})"),
            "check the directory, its file system and free space",
            error),
    };

    // A full disk shows first where the log's shared memory file must grow, as an input/output error.
    private static int KindOf(SqliteException error) => error.SqliteExtendedErrorCode == SharedMemorySize ? Full : error.SqliteErrorCode;

    internal static KaslrMtException Damaged(string path, string how, Exception? inner = null) => new(
        TenantErrors.StoreCorrupt,
        $"the tenant table {path} is damaged, or is not a tenant table ({how})",
        "stop its VMs, move the file away, and restore a backup or begin anew; running VMs are not harmed",
        inner);
}

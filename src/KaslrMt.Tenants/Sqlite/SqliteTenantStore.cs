using KaslrMt.Layout;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace KaslrMt.Tenants.Sqlite;

/// <summary>The table in an SQLite database: one host, any number of processes.</summary>
/// <remarks>
/// WAL with <c>synchronous=FULL</c>: a committed change survives the loss of power. Every change is one <c>BEGIN IMMEDIATE</c> transaction, so changes of
/// all processes have one order. <c>secure_delete</c> overwrites a purged key in the database file, and the log is checkpointed and cut to zero
/// after each purge; the file system may keep the blocks of the cut log until it uses them again (there the key is still sealed).
/// </remarks>
public sealed partial class SqliteTenantStore : ITenantStore
{
    private const int BusyMilliseconds = 30_000;
    private const int ScrubMilliseconds = 50;
    private const int UniqueViolation = 2067;

    private readonly Lock _lock = new();
    private readonly sqlite3 _database;
    private readonly KeyRingFile _keys;
    private readonly StoreHooks _hooks;
    private readonly string _path;
    private readonly Statements _sql;
    private KeyRing _ring;
    private KeySealer _sealer;
    private bool _scrubPending;

    private SqliteTenantStore(string path, sqlite3 database, KeyRingFile keys, StoreHooks hooks)
    {
        (_path, _database, _keys, _hooks) = (path, database, keys, hooks);
        _sql = new Statements(database);
        (_ring, _sealer) = OpenSeal();
    }

    /// <inheritdoc/>
    public string Location => $"sqlite:{_path}";

    private long Now => _hooks.Clock.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>Opens the database, and creates it (mode 0600, in a directory of mode 0700) where it is missing.</summary>
    /// <param name="path">The database file.</param>
    /// <param name="keys">The key-encryption keys.</param>
    /// <exception cref="KaslrMtException">402x: it cannot be opened, is open to others, damaged or newer; 403x: the key-encryption keys do not fit.</exception>
    public static SqliteTenantStore Open(string path, KeyRingFile keys) => Open(path, keys, StoreHooks.None);

    /// <summary>Gets the journal's mode, <c>synchronous</c> and <c>secure_delete</c>, as SQLite has them.</summary>
    internal (string Journal, long Synchronous, long SecureDelete) Durability
    {
        get
        {
            using var journal = new SqliteStatement(_database, "PRAGMA journal_mode", 0);
            return (
                journal.First(row => row.Text(0))!,
                SqliteSchema.Number(_database, "PRAGMA synchronous"),
                SqliteSchema.Number(_database, "PRAGMA secure_delete"));
        }
    }

    /// <summary>Keeps the database from growing, as a full disk does.</summary>
    internal void LimitPages(int pages) => SqliteSchema.Number(_database, $"PRAGMA max_page_count = {pages}");

    internal static SqliteTenantStore Open(string path, KeyRingFile keys, StoreHooks hooks)
    {
        path = Path.GetFullPath(path);
        StateDirectory.Ensure(Path.GetDirectoryName(path)!);
        EnsurePrivate(path);
        Batteries_V2.Init();

        // Our own lock serves for SQLite's, which it takes in every call, fifty in a change.
        int opened = raw.sqlite3_open_v2(path, out sqlite3 database, raw.SQLITE_OPEN_READWRITE | raw.SQLITE_OPEN_NOMUTEX, null);
        try
        {
            SqliteException.ThrowExceptionForRC(opened, database);
            raw.sqlite3_extended_result_codes(database, 1);
            raw.sqlite3_busy_timeout(database, BusyMilliseconds);
            EnterLogMode(database);
            SqliteSchema.Ensure(database, path);
            return new SqliteTenantStore(path, database, keys, hooks);
        }
        catch (SqliteException error)
        {
            database.Dispose();
            throw SqliteFault.Of(error, path);
        }
        catch
        {
            database.Dispose();
            throw;
        }
    }

    // Pages of half the usual size: a commit writes whole pages to the log, and our rows are small. Existing databases keep theirs, and the log its size.
    // Where many processes create a database at once, SQLite tells some of them that it is busy without waiting, so that they do not wait for each other.
    private static void EnterLogMode(sqlite3 database)
    {
        const string settings =
            """
            PRAGMA page_size = 2048; PRAGMA secure_delete = ON; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 2000
            """;
        long begun = Environment.TickCount64;
        while (true)
        {
            try
            {
                SqliteSchema.Execute(database, settings);
                return;
            }
            catch (SqliteException error) when (error.SqliteErrorCode == raw.SQLITE_BUSY && Environment.TickCount64 - begun < BusyMilliseconds)
            {
                Thread.Sleep(ScrubMilliseconds);
            }
        }
    }

    /// <inheritdoc/>
    public Task<Outcome> ApplyAsync(TableCommand command, Actor actor, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        return Task.FromResult(Guarded(() => Apply(command, actor)));
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        lock (_lock)
        {
            if (_scrubPending)
            {
                Scrub();
            }

            _sql.Dispose();
            _database.Dispose();
            _sealer.Dispose();
            _ring.Dispose();
        }

        return ValueTask.CompletedTask;
    }

    private Outcome Apply(TableCommand command, Actor actor)
    {
        Outcome outcome = InTransaction(() => ApplyInTransaction(command, actor));
        try
        {
            _hooks.Step("committed");
            if (outcome.Key == KeyEffect.Purged)
            {
                Scrub();
            }

            _hooks.Step("done");
            return outcome;
        }
        catch
        {
            outcome.Dispose();
            throw;
        }
    }

    private Outcome ApplyInTransaction(TableCommand command, Actor actor)
    {
        _hooks.Step("begun");
        DateTimeOffset now = DateTimeOffset.FromUnixTimeMilliseconds(Now);
        (VmRecord? vm, TenantRecord? tenant, SealedKey? key, long lease, bool placed) = _sql.FindSlice.First(
            Slice, command.VmName, command.TenantName, command.HostId, command is StopVm or EvictVm ? 1 : 0);
        var before = new TableSlice(tenant, vm, HostAlive: command.HostId is null || lease > now.ToUnixTimeMilliseconds());
        Decision after = TenantRules.Decide(before, command, now);
        if (after.Changes)
        {
            if (after.Key == KeyEffect.Created)
            {
                key = CreateKey(after.Tenant!);
                after = after with { Tenant = after.Tenant! with { KeyId = key.KeyId } };
            }

            Write(before, after, placed);
            Log(AuditEntry.Of(before, after, actor, now));
        }

        bool wantsKey = command is StartVm or RestoreVm && key?.Generation == after.Vm!.Generation;
        TenantKey? opened = wantsKey ? OpenKey(after.Tenant!.Name, key!) : null;
        _hooks.Step("written");
        return new Outcome(after.Tenant, after.Vm, after.Key, after.Changes, opened);
    }

    private static (VmRecord? Vm, TenantRecord? Tenant, SealedKey? Key, long Lease, bool Placed) Slice(SqliteRow row)
    {
        (TenantRecord? tenant, SealedKey? key) = row.IsNull(SqliteRows.VmWidth) ? default : SqliteRows.Tenant(row, SqliteRows.VmWidth);
        const int rest = SqliteRows.VmWidth + SqliteRows.TenantWidth;
        return (row.IsNull(0) ? null : SqliteRows.Vm(row), tenant, key, row.Long(rest), row.Long(rest + 1) != 0);
    }

    private void Write(TableSlice before, Decision after, bool placed)
    {
        if (after.Key == KeyEffect.Purged)
        {
            _sql.DeleteKey.Run(after.Tenant!.Name);
        }

        if (after.Tenant is null)
        {
            _sql.DeleteTenant.Run(before.Tenant!.Name);
        }
        else if (after.Tenant != before.Tenant)
        {
            TenantRecord tenant = after.Tenant;
            long rotation = tenant.RotationPending ? 1 : 0;
            if (before.Tenant is null)
            {
                _sql.AddTenant.Run(tenant.Name, tenant.Generation, tenant.Vms, rotation, tenant.Created.ToUnixTimeMilliseconds());
            }
            else
            {
                _sql.UpdateTenant.Run(tenant.Name, tenant.Generation, tenant.Vms, rotation);
            }
        }

        if (after.Vm is { } changed && before.Vm is not null)
        {
            if (changed != before.Vm)
            {
                _sql.UpdateVm.Run(
                    changed.Name,
                    changed.Tenant,
                    changed.Host,
                    changed.Target,
                    changed.Release,
                    (long)changed.Status,
                    changed.Incarnation.ToByteArray(),
                    SqliteRows.Processes(changed.Processes),
                    changed.Since.ToUnixTimeMilliseconds());
            }
        }
        else if (after.Vm is { } vm)
        {
            _sql.AddName.Run(vm.Name, vm.Tenant);
            _sql.AddVm.Run(
                vm.Name,
                vm.Tenant,
                vm.Host,
                vm.Target,
                vm.Generation,
                vm.Policy.ToString(),
                vm.Release,
                (long)vm.Status,
                vm.Incarnation.ToByteArray(),
                SqliteRows.Processes(vm.Processes),
                vm.Started.ToUnixTimeMilliseconds(),
                vm.Since.ToUnixTimeMilliseconds());
        }
        else if (after.Vm is null && before.Vm is { } gone)
        {
            _sql.DeleteVm.Run(gone.Tenant, gone.Name);
            _sql.DeleteName.Run(gone.Name);
        }

        Place(before.Vm, after.Vm, placed);
    }

    private void Place(VmRecord? before, VmRecord? after, bool placed)
    {
        // What was read with the slice spares the usual change both statements; they look again by themselves.
        if (placed && (before ?? after) is { Target: null } && (before is null || after is null))
        {
            return;
        }

        foreach (string host in Hosts(after).Except(Hosts(before)))
        {
            _sql.AddPlacement.Run(host, after!.Tenant);
        }

        foreach (string host in Hosts(before).Except(Hosts(after)))
        {
            _sql.DeletePlacement.Run(host, before!.Tenant);
        }

        static IEnumerable<string> Hosts(VmRecord? vm) => vm is null ? [] : vm.Target is { } target ? [vm.Host, target] : [vm.Host];
    }

    /// <summary>Draws keys until one is not another tenant's, which the unique index proves; the first never is.</summary>
    private SealedKey CreateKey(TenantRecord tenant)
    {
        RefreshSeal();
        while (true)
        {
            using TenantKey drawn = _hooks.NewKey();
            SealedKey key = _sealer.SealKey(tenant.Name, tenant.Generation, drawn);
            try
            {
                _sql.PutKey.Run(tenant.Name, key.Generation, key.KekVersion, key.Bytes, key.Fingerprint, tenant.KeyCreated!.Value.ToUnixTimeMilliseconds());
                return key;
            }
            catch (SqliteException error) when (error.SqliteExtendedErrorCode == UniqueViolation)
            {
                _hooks.Step("collision");
            }
        }
    }

    private void Log(AuditEntry entry) => _sql.PutAudit.Run(
        entry.At.ToUnixTimeMilliseconds(),
        (long)entry.Actor.UserId,
        entry.Actor.User,
        entry.Actor.Process,
        entry.Actor.Host,
        entry.Action,
        entry.Tenant,
        entry.Vm,
        entry.Host,
        entry.Generation,
        (long)entry.Key,
        entry.KeyId,
        entry.Detail);

    private T InTransaction<T>(Func<T> change)
    {
        _sql.Begin.Run();
        try
        {
            T result = change();
            _sql.Commit.Run();
            return result;
        }
        catch
        {
            SqliteSchema.RollBack(_database);
            throw;
        }
    }

    private T Guarded<T>(Func<T> work)
    {
        lock (_lock)
        {
            try
            {
                return work();
            }
            catch (SqliteException error)
            {
                throw SqliteFault.Of(error, _path);
            }
        }
    }

    // The file is made elsewhere and linked here, and only looked at afterwards: closing a descriptor of a database would drop the locks that
    // another connection of this process holds on it (https://sqlite.org/howtocorrupt.html, section 2.2).
    private static void EnsurePrivate(string path)
    {
        try
        {
            if (!File.Exists(path))
            {
                PrivateFile.CreateEmpty(path);
            }

            if (SecretFile.Exposure(path) is { } exposure)
            {
                throw new KaslrMtException(TenantErrors.StoreExposed, $"the tenant table {path} {exposure}", "make it the file of the user that runs kaslrmt, mode 0600 (chown, chmod)");
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(
                TenantErrors.StoreFailed, $"the tenant table {path} cannot be opened ({e.Message})", "check the owner, mode and place of the file", e);
        }
    }
}

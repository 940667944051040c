using System.Globalization;

namespace KaslrMt.Tenants.Sqlite;

public sealed partial class SqliteTenantStore
{
    private const int MaximumFaults = 1000;

    /// <inheritdoc/>
    public Task<IReadOnlyList<string>> CheckAsync(CancellationToken cancellationToken = default) => Task.FromResult<IReadOnlyList<string>>(Guarded(() =>
    {
        // One read transaction: what is compared belongs to one moment.
        SqliteSchema.Execute(_database, "BEGIN");
        try
        {
            List<string> faults = [];
            Query("PRAGMA integrity_check(100)", row => row.Text(0) is not "ok" and var fault ? $"database: {fault}" : null, faults);
            Query(
                """
                SELECT t.name, t.vms, (SELECT count(*) FROM vm v WHERE v.tenant = t.name) AS n, k.tenant IS NOT NULL, t.generation, k.generation
                FROM tenant t LEFT JOIN tenant_key k ON k.tenant = t.name
                WHERE t.vms <> n OR (k.tenant IS NOT NULL AND (n = 0 OR k.generation <> t.generation))
                LIMIT 1000
                """,
                row => string.Create(
                    CultureInfo.InvariantCulture,
                    $"tenant '{row.Text(0)}': count {row.Long(1)}, VMs {row.Long(2)}, key {(row.Long(3) != 0 ? "present" : "absent")}"),
                faults);
            Query(
                "SELECT name, tenant FROM vm WHERE tenant NOT IN (SELECT name FROM tenant) LIMIT 1000",
                row => $"VM '{row.Text(0)}': its tenant '{row.Text(1)}' is missing",
                faults);
            Query(
                """
                SELECT v.name, v.tenant FROM vm v LEFT JOIN record n ON n.tenant = '~' AND n.name = v.name WHERE n.owner IS NOT v.tenant
                UNION ALL
                SELECT n.name, n.owner FROM record n LEFT JOIN record v ON v.tenant = n.owner AND v.name = n.name WHERE n.tenant = '~' AND v.name IS NULL
                LIMIT 1000
                """,
                row => $"VM '{row.Text(0)}': its name is another VM's, or is not entered (tenant '{row.Text(1)}')",
                faults);
            Query(SqlitePlacement.Faults, row => $"host '{row.Text(0)}': tenant '{row.Text(1)}' has VMs there and is not listed, or the reverse", faults);
            Query(
                "SELECT tenant FROM tenant_key WHERE tenant NOT IN (SELECT name FROM tenant) LIMIT 1000",
                row => $"a key is left behind: its tenant '{row.Text(0)}' is missing",
                faults);
            CheckKeys(faults, cancellationToken);
            return faults;
        }
        finally
        {
            SqliteSchema.RollBack(_database);
        }
    }));

    /// <inheritdoc/>
    public Task BackupAsync(string path, CancellationToken cancellationToken = default)
    {
        path = Path.GetFullPath(path);
        try
        {
            // SQLite takes an empty file that is there, with the mode it has.
            using var file = new FileStream(path, new FileStreamOptions
            {
                Mode = FileMode.CreateNew,
                Access = FileAccess.Write,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            });
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(TenantErrors.StoreFailed, $"the backup cannot be written to {path} ({e.Message})", "name a new file", e);
        }

        return Task.FromResult(Guarded(() =>
        {
            // VACUUM INTO copies live rows only: nothing of purged keys is in a backup.
            using var copy = new SqliteStatement(_database, "VACUUM INTO ?1", 1);
            copy.Run(path);
            return true;
        }));
    }

    private void CheckKeys(List<string> faults, CancellationToken cancellationToken)
    {
        for (string? after = ""; after is not null && faults.Count < MaximumFaults;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            List<(string Tenant, SealedKey Key)> page = Keys(after, PageRows);
            foreach ((string tenant, SealedKey key) in page)
            {
                try
                {
                    OpenKey(tenant, key).Dispose();
                }
                catch (KaslrMtException error)
                {
                    faults.Add($"tenant '{tenant}': {error.Code}: {error.Problem}");
                }
            }

            after = page.Count == PageRows ? page[^1].Tenant : null;
        }
    }

    private void Query(string text, Func<SqliteRow, string?> map, List<string> faults)
    {
        using var statement = new SqliteStatement(_database, text, 0);
        faults.AddRange(statement.All(map).OfType<string>().Take(MaximumFaults - faults.Count));
    }
}

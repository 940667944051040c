using System.Globalization;
using KaslrMt.Tenants.Sqlite;
using Microsoft.Data.Sqlite;

namespace KaslrMt.Tenants.Tests.Sqlite;

/// <summary>A database that an earlier program wrote becomes the newest, with all that is in it.</summary>
public sealed class SqliteMigrationTests : IDisposable
{
    // Version 1 as it was released; it is never changed.
    private const string Version1 =
        """
        CREATE TABLE seal (one INTEGER PRIMARY KEY CHECK (one = 1), store BLOB NOT NULL, kek INTEGER NOT NULL, fingerprint_key BLOB NOT NULL) STRICT;
        CREATE TABLE tenant (
          name TEXT PRIMARY KEY, generation INTEGER NOT NULL, vms INTEGER NOT NULL CHECK (vms >= 0), rotation INTEGER NOT NULL,
          created INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE tenant_key (
          tenant TEXT PRIMARY KEY, generation INTEGER NOT NULL, kek INTEGER NOT NULL, sealed BLOB NOT NULL, fingerprint BLOB NOT NULL UNIQUE,
          created INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE vm (
          tenant TEXT NOT NULL, name TEXT NOT NULL UNIQUE, host TEXT NOT NULL, target TEXT, generation INTEGER NOT NULL, policy TEXT NOT NULL,
          release TEXT, status INTEGER NOT NULL, incarnation BLOB NOT NULL, processes TEXT NOT NULL, started INTEGER NOT NULL, since INTEGER NOT NULL,
          PRIMARY KEY (tenant, name)) STRICT, WITHOUT ROWID;
        CREATE TABLE host (
          id TEXT PRIMARY KEY, name TEXT NOT NULL, boot TEXT NOT NULL, lease_until INTEGER NOT NULL, joined INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE audit (
          sequence INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, uid INTEGER NOT NULL, user TEXT NOT NULL, process INTEGER NOT NULL,
          actor_host TEXT NOT NULL, action TEXT NOT NULL, tenant TEXT, vm TEXT, host TEXT, generation INTEGER NOT NULL, key INTEGER NOT NULL,
          key_id TEXT, detail TEXT) STRICT;
        PRAGMA user_version = 1;
        PRAGMA application_id = 0x4b4d5454;
        """;

    // What version 2 added to it.
    private const string Version2 =
        """
        CREATE INDEX vm_host ON vm (host, tenant, name);
        CREATE INDEX vm_target ON vm (target, tenant, name) WHERE target IS NOT NULL;
        PRAGMA user_version = 2;
        """;

    // What version 3 made of it.
    private const string Version3 =
        """
        CREATE TABLE log (
          sequence INTEGER PRIMARY KEY, at INTEGER NOT NULL, uid INTEGER NOT NULL, user TEXT NOT NULL, process INTEGER NOT NULL,
          actor_host TEXT NOT NULL, action TEXT NOT NULL, tenant TEXT, vm TEXT, host TEXT, generation INTEGER NOT NULL, key INTEGER NOT NULL,
          key_id TEXT, detail TEXT) STRICT;
        DROP TABLE audit;
        ALTER TABLE log RENAME TO audit;
        PRAGMA user_version = 3;
        """;

    private static readonly string[] Tables = ["seal", "tenant", "tenant_key", "vm", "host", "audit"];

    private readonly Scratch _scratch = Scratch.InMemory();

    private string Old => _scratch.At("state/old.db");

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task A_database_of_each_earlier_version_keeps_everything_and_finds_a_hosts_vms(int version)
    {
        string key = await MakeOldAsync(version);
        await using (var store = SqliteTenantStore.Open(Old, _scratch.Keys()))
        {
            Assert.Equal(["v1", "v2"], (await store.VmsOfHostAsync("h-a").AllAsync()).Select(vm => vm.Name));
            Assert.Equal(["v2"], (await store.VmsOfHostAsync("h-b").AllAsync()).Select(vm => vm.Name));
            await using var written = SqliteTenantStore.Open(_scratch.At("state/new.db"), _scratch.Keys());
            Assert.Equal((await written.VmsAsync().AllAsync()).Select(Text), (await store.VmsAsync().AllAsync()).Select(Text));
            Assert.Equal(await written.TenantsAsync().AllAsync(), await store.TenantsAsync().AllAsync());
            Assert.Equal(key, await store.StartAsync("acme", "v3"));
            await Table.SoundAsync(store);
        }

        using SqliteConnection raw = Raw(Old);
        Assert.Equal(4, SqliteSchema.Number(raw.Handle!, "PRAGMA user_version"));
        Assert.Equal(Schema(Raw(_scratch.At("state/new.db"))), Schema(Raw(Old)));
    }

    [Fact]
    public async Task Processes_that_open_an_earlier_database_at_once_migrate_it_once()
    {
        string key = await MakeOldAsync();
        ITenantStore[] stores = await Task.WhenAll(
            Enumerable.Range(0, 4).Select(_ => Task.Run<ITenantStore>(() => SqliteTenantStore.Open(Old, _scratch.Keys()))));
        for (int i = 0; i < stores.Length; i++)
        {
            Assert.Equal(key, await stores[i].StartAsync("acme", $"w{i}"));
        }

        await Table.SoundAsync(stores[0]);
        await Task.WhenAll(stores.Select(store => store.DisposeAsync().AsTask()));
    }

    [Fact]
    public async Task A_hosts_vms_are_searched_among_its_tenants_and_not_sorted()
    {
        await MakeOldAsync();
        await SqliteTenantStore.Open(Old, _scratch.Keys()).DisposeAsync();
        using SqliteConnection raw = Raw(Old);
        using SqliteCommand explain = raw.CreateCommand();
        explain.CommandText = $"EXPLAIN QUERY PLAN {SqlitePlacement.PageOfHost}";
        Array.ForEach([1, 2, 3, 4], i => explain.Parameters.AddWithValue($"?{i}", i));
        using SqliteDataReader plan = explain.ExecuteReader();
        Assert.True(plan.Read());
        Assert.StartsWith("SEARCH p USING PRIMARY KEY (host=?", plan.GetString(3), StringComparison.Ordinal);
        Assert.True(plan.Read());
        Assert.StartsWith("SEARCH v USING PRIMARY KEY (tenant=?", plan.GetString(3), StringComparison.Ordinal);
        Assert.False(plan.Read());
    }

    [Fact]
    public async Task No_statement_is_prepared_again_for_another_value()
    {
        await SqliteTenantStore.Open(Old, _scratch.Keys()).DisposeAsync();
        using SqliteConnection connection = Raw(Old);
        SQLitePCL.raw.sqlite3_prepare_v2(connection.Handle, "DELETE FROM record WHERE tenant = ?1 AND name = ?2", out SQLitePCL.sqlite3_stmt statement);
        using (statement)
        {
            foreach (string name in (string[])["v1", "", "v2"])
            {
                SQLitePCL.raw.sqlite3_bind_text(statement, 1, "acme");
                SQLitePCL.raw.sqlite3_bind_text(statement, 2, name);
                Assert.Equal(SQLitePCL.raw.SQLITE_DONE, SQLitePCL.raw.sqlite3_step(statement));
                SQLitePCL.raw.sqlite3_reset(statement);
            }

            const int reprepared = 5;
            Assert.Equal(0, SQLitePCL.raw.sqlite3_stmt_status(statement, reprepared, 0));
        }
    }

    [Theory]
    [InlineData("DELETE FROM record WHERE tenant = '~' AND name = 'v1'", "VM 'v1'")]
    [InlineData("UPDATE record SET owner = 'beta' WHERE tenant = '~' AND name = 'v1'", "VM 'v1'")]
    [InlineData("INSERT INTO record (tenant, name, owner) VALUES ('~', 'v9', 'acme')", "VM 'v9'")]
    [InlineData("DELETE FROM placement WHERE host = 'h-b'", "host 'h-b'")]
    [InlineData("INSERT INTO placement VALUES ('h-b', 'acme')", "host 'h-b'")]
    public async Task A_name_or_placement_that_does_not_fit_its_vm_is_told(string change, string told)
    {
        await MakeOldAsync(3);
        await using var store = SqliteTenantStore.Open(Old, _scratch.Keys());
        using (SqliteConnection raw = Raw(Old))
        {
            SqliteSchema.Execute(raw.Handle!, change);
        }

        Assert.Contains(await store.CheckAsync(), fault => fault.StartsWith(told, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_tenant_is_placed_on_a_host_from_its_first_vm_there_to_its_last()
    {
        await MakeOldAsync(3);
        await using var store = SqliteTenantStore.Open(Old, _scratch.Keys());
        await store.StartAsync("acme", "v3");
        await store.StartAsync("acme", "v4", "h-b");
        Assert.Equal(["h-a acme", "h-a beta", "h-b acme", "h-b beta"], Placements());
        await store.DoAsync(new StopVm("v1"));
        await store.DoAsync(new FinishMigration("v2", [ProcessMark.Current]));
        Assert.Equal(["h-a acme", "h-b acme", "h-b beta"], Placements());
        await store.DoAsync(new StopVm("v3"));
        await store.DoAsync(new StopVm("v2"));
        Assert.Equal(["h-b acme"], Placements());
        await Table.SoundAsync(store);
    }

    [Fact]
    public async Task The_logs_numbers_go_on_where_an_earlier_version_left_them_and_never_go_back()
    {
        await MakeOldAsync(2);
        await using var store = SqliteTenantStore.Open(Old, _scratch.Keys());
        List<AuditEntry> before = await store.AuditAsync().AllAsync();
        await store.StartAsync("acme", "v3");
        Assert.Equal(before[^1].Sequence + 1, (await store.AuditAsync().AllAsync())[^1].Sequence);
        await store.TrimAuditAsync(DateTimeOffset.UtcNow.AddMinutes(1), Table.Tester);
        await store.StartAsync("acme", "v4");
        Assert.Equal([before[^1].Sequence + 2, before[^1].Sequence + 3], (await store.AuditAsync().AllAsync()).Select(entry => entry.Sequence));
    }

    /// <summary>A database as an earlier version wrote it, with a VM that migrates, and the key of tenant acme.</summary>
    private async Task<string> MakeOldAsync(int version = 1)
    {
        string path = _scratch.At("state/new.db");
        string key;
        await using (var store = SqliteTenantStore.Open(path, _scratch.Keys()))
        {
            await store.RenewHostAsync(Table.HostA, Table.Lease, Table.Tester);
            await store.RenewHostAsync(Table.HostB, Table.Lease, Table.Tester);
            key = await store.StartAsync("acme", "v1");
            await store.StartAsync("beta", "v2");
            await store.RunAsync("v2");
            await store.DoAsync(new BeginMigration("v2", "h-b"));
        }

        File.WriteAllBytes(Old, []);
        File.SetUnixFileMode(Old, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        using SqliteConnection old = Raw(Old);
        SqliteSchema.Execute(old.Handle!, Version1);
        foreach (string script in ((string[])[Version2, Version3]).Take(version - 1))
        {
            SqliteSchema.Execute(old.Handle!, script);
        }

        SqliteSchema.Execute(old.Handle!, string.Create(CultureInfo.InvariantCulture, $"ATTACH '{path}' AS newer"));
        foreach (string table in Tables)
        {
            SqliteSchema.Execute(old.Handle!, $"INSERT INTO main.{table} SELECT * FROM newer.{table}");
        }

        return key;
    }

    private static string Text(VmRecord vm) => $"{vm with { Processes = [] }} {string.Join(' ', vm.Processes)}";

    private List<string> Placements()
    {
        using SqliteConnection connection = Raw(Old);
        using var read = new SqliteStatement(connection.Handle!, "SELECT host || ' ' || tenant FROM placement ORDER BY 1", 0);
        return read.All(row => row.Text(0));
    }

    private static SqliteConnection Raw(string path)
    {
        var connection = new SqliteConnection($"Data Source={path};Pooling=False");
        connection.Open();
        return connection;
    }

    private static List<string> Schema(SqliteConnection connection)
    {
        using (connection)
        {
            using SqliteCommand read = connection.CreateCommand();
            read.CommandText = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name";
            using SqliteDataReader reader = read.ExecuteReader();
            List<string> all = [];
            while (reader.Read())
            {
                all.Add(reader.GetString(0));
            }

            return all;
        }
    }
}

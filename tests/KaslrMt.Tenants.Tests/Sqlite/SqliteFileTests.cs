using System.Text;
using KaslrMt.Tenants.Sqlite;
using Microsoft.Data.Sqlite;

namespace KaslrMt.Tenants.Tests.Sqlite;

/// <summary>What lies on the disk: modes, versions, damage, and what purged keys leave there.</summary>
public sealed class SqliteFileTests : IDisposable
{
    private readonly Scratch _scratch = Scratch.InMemory();

    private string Database => _scratch.At("state/tenants.db");

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData(13, 13)]
    [InlineData(10, 4874)]
    public void A_full_disk_has_one_number_however_sqlite_tells_it(int code, int extended) =>
        Assert.Equal(TenantErrors.StoreFull, SqliteFault.Of(new SqliteException("", code, extended), "/t").Code);

    [Fact]
    public async Task The_database_its_log_and_its_directory_are_private()
    {
        await using ITenantStore store = await OpenAsync();
        await store.StartAsync("acme", "v1");
        Assert.Equal("rwx------", Mode(_scratch.At("state")));
        Assert.All(Directory.EnumerateFiles(_scratch.At("state")), file => Assert.Equal("rw-------", Mode(file)));
        Assert.Equal("rw-------", Mode(_scratch.Keys().Path));
        Assert.Contains(Directory.EnumerateFiles(_scratch.At("state")), file => file.EndsWith("-wal", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_database_open_to_others_is_refused()
    {
        await (await OpenAsync()).DisposeAsync();
        File.SetUnixFileMode(Database, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead);
        await Table.RefusedAsync(TenantErrors.StoreExposed, OpenAsync);
        File.SetUnixFileMode(Database, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        File.SetUnixFileMode(_scratch.At("state"), (UnixFileMode)0b111_111_111);
        await Table.RefusedAsync(TenantErrors.StoreExposed, OpenAsync);
    }

    [Fact]
    public async Task Neither_key_nor_its_envelope_is_in_any_file_once_it_is_purged()
    {
        await using ITenantStore store = await OpenAsync();
        string key = await store.StartAsync("acme", "v1");
        await store.StartAsync("other", "v2");
        byte[] envelope = Scalar<byte[]>("SELECT sealed FROM tenant_key WHERE tenant = 'acme'");
        Assert.True(OnDisk(envelope));
        Assert.False(OnDisk(Encoding.ASCII.GetBytes(key)));
        await store.DoAsync(new StopVm("v1"));
        Assert.False(OnDisk(envelope));
        Assert.False(OnDisk(envelope[28..44]));
    }

    [Fact]
    public async Task What_a_reader_kept_from_being_scrubbed_goes_with_the_next_purge()
    {
        await using ITenantStore store = await OpenAsync();
        await store.StartAsync("acme", "v1");
        await store.StartAsync("beta", "v2");
        byte[] envelope = Scalar<byte[]>("SELECT sealed FROM tenant_key WHERE tenant = 'acme'");
        using (SqliteConnection reader = Raw())
        {
            using SqliteTransaction snapshot = reader.BeginTransaction(deferred: true);
            using SqliteCommand read = reader.CreateCommand();
            read.CommandText = "SELECT count(*) FROM vm";
            read.ExecuteScalar();
            await store.DoAsync(new StopVm("v1"));
            Assert.True(OnDisk(envelope));
        }

        await store.DoAsync(new StopVm("v2"));
        Assert.False(OnDisk(envelope));
    }

    [Fact]
    public async Task Rows_swapped_or_altered_past_us_are_noticed()
    {
        await using ITenantStore store = await OpenAsync();
        await store.StartAsync("acme", "v1");
        await store.StartAsync("beta", "v2");
        Execute("UPDATE tenant_key SET tenant = 'x' WHERE tenant = 'acme'; UPDATE tenant_key SET tenant = 'acme' WHERE tenant = 'beta'; UPDATE tenant_key SET tenant = 'beta' WHERE tenant = 'x'");
        await Table.RefusedAsync(TenantErrors.SealBroken, () => store.StartAsync("acme", "v3"));
        Assert.Null(await store.FindVmAsync("v3"));
        Assert.Equal(2, (await store.CheckAsync()).Count(fault => fault.Contains("KMT4035", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("UPDATE record SET since = 9000000000000000000 WHERE status IS NOT NULL")]
    [InlineData("UPDATE record SET created = 9000000000000000000 WHERE name = ''")]
    [InlineData("UPDATE record SET status = 99 WHERE status IS NOT NULL")]
    [InlineData("UPDATE record SET policy = 'zz' WHERE status IS NOT NULL")]
    [InlineData("UPDATE record SET incarnation = x'00' WHERE status IS NOT NULL")]
    [InlineData("UPDATE record SET processes = 'no' WHERE status IS NOT NULL")]
    [InlineData("UPDATE tenant_key SET created = 9000000000000000000")]
    [InlineData("UPDATE host SET joined = 9000000000000000000")]
    [InlineData("UPDATE audit SET at = 9000000000000000000")]
    [InlineData("UPDATE seal SET store = x'01'")]
    public async Task Values_that_none_of_us_writes_are_numbered_errors(string change)
    {
        await using (ITenantStore store = await OpenAsync())
        {
            await store.RenewHostAsync(Table.HostA, Table.Lease, Table.Tester);
            await store.StartAsync("acme", "v1");
        }

        Execute(change);
        await Table.RefusedAsync(TenantErrors.StoreCorrupt, async () =>
        {
            await using ITenantStore store = await OpenAsync();
            await HistoryCheck.RunAsync(store);
            await store.HostsAsync();
        });
    }

    [Theory]
    [InlineData("UPDATE tenant_key SET fingerprint = x''")]
    [InlineData("UPDATE tenant_key SET fingerprint = x'00'")]
    [InlineData("UPDATE tenant_key SET sealed = x''")]
    public async Task A_key_cut_short_past_us_is_noticed(string change)
    {
        await using ITenantStore store = await OpenAsync();
        await store.StartAsync("acme", "v1");
        Execute(change);
        Assert.Contains(await store.CheckAsync(), fault => fault.Contains("KMT4035", StringComparison.Ordinal));
        await Table.RefusedAsync(TenantErrors.SealBroken, () => store.StartAsync("acme", "v2"));
    }

    [Fact]
    public async Task A_newer_database_and_other_files_are_refused_unchanged()
    {
        await (await OpenAsync()).DisposeAsync();
        Execute("PRAGMA user_version = 99");
        await Table.RefusedAsync(TenantErrors.StoreNewer, OpenAsync);
        Execute("PRAGMA user_version = 1; PRAGMA application_id = 7");
        await Table.RefusedAsync(TenantErrors.StoreCorrupt, OpenAsync);
        File.Delete(Database);
        byte[] garbage = [.. Enumerable.Repeat((byte)'x', 8192)];
        File.WriteAllBytes(Database, garbage);
        File.SetUnixFileMode(Database, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        await Table.RefusedAsync(TenantErrors.StoreCorrupt, OpenAsync);
        Assert.Equal(garbage, File.ReadAllBytes(Database));
    }

    [Fact]
    public async Task A_damaged_page_is_a_numbered_error()
    {
        await using (ITenantStore store = await OpenAsync())
        {
            await store.StartAsync("acme", "v1");
        }

        byte[] bytes = File.ReadAllBytes(Database);
        bytes.AsSpan(4096).Fill(0xa5);
        File.WriteAllBytes(Database, bytes);
        await Table.RefusedAsync(TenantErrors.StoreCorrupt, async () =>
        {
            await using ITenantStore store = await OpenAsync();
            await store.StartAsync("acme", "v2");
        });
    }

    [Fact]
    public async Task A_full_disk_is_a_numbered_error_and_nothing_is_lost()
    {
        var store = SqliteTenantStore.Open(Database, _scratch.Keys());
        await using (store)
        {
            await store.RenewHostAsync(Table.HostA, Table.Lease, Table.Tester);
            string key = await store.StartAsync("acme", "first");
            store.LimitPages(60);
            int started = 0;
            await Table.RefusedAsync(TenantErrors.StoreFull, async () =>
            {
                for (; started < 10_000; started++)
                {
                    await store.StartAsync("acme", $"v{started}");
                }
            });
            Assert.InRange(started, 1, 9_999);
            Assert.Equal(started + 1, (await store.VmsAsync().AllAsync()).Count);
            store.LimitPages(1_000_000);
            Assert.Equal(key, await store.StartAsync("acme", "after"));
            await Table.SoundAsync(store);
        }
    }

    [Fact]
    public async Task A_backup_is_private_whole_and_opens_with_the_same_keys()
    {
        await using ITenantStore store = await OpenAsync();
        string key = await store.StartAsync("acme", "v1");
        await store.BackupAsync(_scratch.At("state/copy.db"));
        Assert.Equal("rw-------", Mode(_scratch.At("state/copy.db")));
        await using ITenantStore copy = SqliteTenantStore.Open(_scratch.At("state/copy.db"), _scratch.Keys());
        Assert.Equal(key, await copy.StartAsync("acme", "v2"));
        await Table.SoundAsync(copy);
        await Table.RefusedAsync(TenantErrors.StoreFailed, () => store.BackupAsync(_scratch.At("state/copy.db")));
    }

    [Fact]
    public async Task Commits_are_durable()
    {
        await (await OpenAsync()).DisposeAsync();
        await using var store = SqliteTenantStore.Open(Database, _scratch.Keys());
        Assert.Equal(("wal", 2L, 1L), store.Durability);
    }

    private static string Mode(string path)
    {
        const string letters = "rwxrwxrwx";
        int mode = (int)File.GetUnixFileMode(path);
        return string.Concat(letters.Select((letter, i) => (mode >> (8 - i) & 1) != 0 ? letter : '-'));
    }

    private async Task<ITenantStore> OpenAsync()
    {
        SqliteTenantStore store = await Task.Run(() => SqliteTenantStore.Open(Database, _scratch.Keys()));
        await store.RenewHostAsync(Table.HostA, Table.Lease, Table.Tester);
        return store;
    }

    private bool OnDisk(byte[] bytes) =>
        Directory.EnumerateFiles(_scratch.At("state")).Any(file => Read(file).AsSpan().IndexOf(bytes) >= 0);

    private static byte[] Read(string file)
    {
        using FileStream stream = new(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        byte[] bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }

    private SqliteConnection Raw()
    {
        var connection = new SqliteConnection($"Data Source={Database};Pooling=False");
        connection.Open();
        return connection;
    }

    private void Execute(string text)
    {
        using SqliteConnection connection = Raw();
        SqliteSchema.Execute(connection.Handle!, text);
    }

    private T Scalar<T>(string text)
    {
        using SqliteConnection connection = Raw();
        using SqliteCommand command = connection.CreateCommand();
#pragma warning disable CA2100 // This test's own text.
        command.CommandText = text;
#pragma warning restore CA2100
        return (T)command.ExecuteScalar()!;
    }
}

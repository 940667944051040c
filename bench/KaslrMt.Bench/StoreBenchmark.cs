using System.Diagnostics;
using KaslrMt.Tenants;
using KaslrMt.Tenants.Sqlite;
using Microsoft.Data.Sqlite;

namespace KaslrMt.Bench;

/// <summary>The SQLite tenant table: start and stop of a VM, each a durable commit, beside a bare durable insert.</summary>
internal static class StoreBenchmark
{
    private static readonly TimeSpan Round = TimeSpan.FromSeconds(2);

    public static async Task<IReadOnlyList<Result>> RunAsync()
    {
        List<Result> results = [];
        foreach ((string where, string root) in new[] { ("tmpfs", BenchKernel.MemoryFolder()), ("disk", Directory.CreateTempSubdirectory("kaslrmt-bench-").FullName) })
        {
            try
            {
                results.AddRange(await RunAsync(where, root));
            }
            finally
            {
                Directory.Delete(root, recursive: true);
            }
        }

        results.AddRange(await GrownAsync());
        return results;
    }

    /// <summary>The same table with a million VMs of 100,000 tenants in it, beside an empty one.</summary>
    private static async Task<IReadOnlyList<Result>> GrownAsync()
    {
        string root = BenchKernel.MemoryFolder();
        try
        {
            await using TenantTable empty = await OpenAsync(Path.Combine(root, "empty"));
            await using TenantTable grown = await OpenAsync(Path.Combine(root, "grown"));
            Fill(Path.Combine(root, "grown", "tenants.db"), tenants: 100_000, vms: 10);
            List<double> full = [], bare = [], listFull = [], listBare = [];
            for (int round = 0; round < 4; round++)
            {
                full.Add(await PairAsync(grown, i => $"t{i * 7919 % 100_000:D6}"));
                bare.Add(await PairAsync(empty, i => $"t{i * 7919 % 100_000:D6}"));
                listFull.Add(await ListAsync(grown, i => $"t{i * 7919 % 100_000:D6}"));
                listBare.Add(await ListAsync(empty, _ => "acme"));
            }

            return
            [
                new Result("start + stop among 1,000,000 VMs, tmpfs", Median(full), Median(bare), "empty table", "µs", 3, LimitIsRatio: true),
                new Result("list a tenant's 10 VMs among 1,000,000, tmpfs", Median(listFull), Median(listBare), "empty table", "µs", 3, LimitIsRatio: true),
            ];
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
    }

    private static void Fill(string database, int tenants, int vms)
    {
        using var connection = new SqliteConnection($"Data Source={database};Pooling=False");
        connection.Open();
        using SqliteCommand fill = connection.CreateCommand();
        fill.CommandTimeout = 600;
        fill.CommandText =
            """
            BEGIN;
            WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $tenants)
            INSERT INTO tenant SELECT printf('t%06d', i), 1, $vms, 0, 0 FROM n;
            WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $tenants * $vms)
            INSERT INTO vm SELECT printf('t%06d', i / $vms), printf('vm%08d', i), 'h-bench', NULL, 1, '110010', '6.1.0', 2, randomblob(16),
              '1234,567890,3653fa16-5008-4b95-b391-aeb953b6f22e,pid:[4026531836]', 0, 0 FROM n;
            COMMIT
            """;
        fill.Parameters.AddWithValue("$tenants", tenants);
        fill.Parameters.AddWithValue("$vms", vms);
        fill.ExecuteNonQuery();
    }

    private static async Task<double> ListAsync(TenantTable table, Func<int, string> tenant)
    {
        const int times = 2_000;
        foreach (int i in Enumerable.Range(0, 10))
        {
            if (await table.Store.FindVmAsync($"listed{i}") is null)
            {
                (await table.StartAsync("acme", $"listed{i}", Policy.Default)).Dispose();
            }
        }

        var watch = Stopwatch.StartNew();
        for (int i = 0; i < times; i++)
        {
            int count = await table.VmsAsync(tenant(i)).CountAsync();
            if (count < 10)
            {
                throw new InvalidOperationException($"{count} VMs of 10 were listed");
            }
        }

        return watch.Elapsed.TotalMicroseconds / times;
    }

    private static async Task<TenantTable> OpenAsync(string folder)
    {
        var host = new HostIdentity("h-bench", "bench", ProcessMark.CurrentBootId);
        var keys = new KeyRingFile(Path.Combine(folder, "kek"), MayCreate: true);
        var table = new TenantTable(SqliteTenantStore.Open(Path.Combine(folder, "tenants.db"), keys), host, TimeSpan.FromHours(1));
        await table.RenewAsync();
        return table;
    }

    private static async Task<IReadOnlyList<Result>> RunAsync(string where, string root)
    {
        string folder = Path.Combine(root, "state");
        await using TenantTable table = await OpenAsync(folder);
        (await table.StartAsync("acme", "stays", Policy.Default)).Dispose();
        using var bare = new SqliteConnection($"Data Source={Path.Combine(folder, "bare.db")};Pooling=False");
        bare.Open();
        using SqliteCommand insert = bare.CreateCommand();
        insert.CommandText = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE vm (id INTEGER PRIMARY KEY, name TEXT)";
        insert.ExecuteNonQuery();
        insert.CommandText = "INSERT INTO vm (name) VALUES ('a name')";

        // The first round of each warms up; then they take turns.
        List<double> joined = [], own = [], bareInserts = [];
        for (int round = 0; round < 4; round++)
        {
            joined.Add(await PairAsync(table, _ => "acme"));
            own.Add(await PairAsync(table, i => $"t{round}-{i}"));
            var watch = Stopwatch.StartNew();
            int count = 0;
            for (; watch.Elapsed < Round; count++)
            {
                insert.ExecuteNonQuery();
            }

            bareInserts.Add(watch.Elapsed.TotalMicroseconds / count);
        }

        // Medians of what comes after the first round; a pair is two commits.
        double commit = Median(joined) / 2;
        double limit = where == "tmpfs" ? 1_000 : double.PositiveInfinity;
        return
        [
            new Result($"start + stop of a VM, tenant has others, {where}", Median(joined), double.NaN, "", "µs", limit, LimitIsRatio: false),
            new Result($"start + stop, key made and purged, {where}", Median(own), double.NaN, "", "µs", limit, LimitIsRatio: false),
            new Result($"one change of the table, {where}", commit, Median(bareInserts), "bare insert", "µs", where == "disk" ? 3 : double.PositiveInfinity, LimitIsRatio: true),
        ];
    }

    private static async Task<double> PairAsync(TenantTable table, Func<int, string> tenant)
    {
        var watch = Stopwatch.StartNew();
        int count = 0;
        for (; watch.Elapsed < Round; count++)
        {
            using Outcome started = await table.StartAsync(tenant(count), "v", Policy.Default);
            using Outcome stopped = await table.StopAsync("v", started.Vm!.Incarnation);
        }

        return watch.Elapsed.TotalMicroseconds / count;
    }

    private static double Median(List<double> rounds) => Stopwatches.Median([.. rounds.Skip(1)]);
}

using System.Diagnostics;
using KaslrMt.Tenants;
using KaslrMt.Tenants.Sqlite;
using Microsoft.Data.Sqlite;

namespace KaslrMt.Bench;

/// <summary>The SQLite tenant table: start and stop of a VM, each a durable commit, beside a bare durable insert.</summary>
internal static class StoreBenchmark
{
    internal static readonly TimeSpan Round = TimeSpan.FromSeconds(2);

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

        results.Add(Opening());
        results.AddRange(await EtcdStoreBenchmark.RunAsync());
        results.AddRange(await GrownStoreBenchmark.RunAsync());
        return results;
    }

    /// <summary>What each start pays for a key that is sealed at rest.</summary>
    private static Result Opening()
    {
        string root = BenchKernel.MemoryFolder();
        try
        {
            using KeyRing ring = new KeyRingFile(Path.Combine(root, "kek"), MayCreate: true).LoadOrCreate();
            using var sealer = new KeySealer(ring, KeySealer.NewSeal(ring));
            using TenantKey key = TenantKey.Generate();
            SealedKey sealedKey = sealer.SealKey("acme", 1, key);
            List<double> rounds = [];
            for (int round = 0; round < 4; round++)
            {
                const int times = 20_000;
                var watch = Stopwatch.StartNew();
                for (int i = 0; i < times; i++)
                {
                    sealer.OpenKey("acme", sealedKey).Dispose();
                }

                rounds.Add(watch.Elapsed.TotalMicroseconds / times);
            }

            return new Result("opening a tenant's sealed key", Median(rounds), double.NaN, "", "µs", double.PositiveInfinity, LimitIsRatio: false);
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
    }

    internal static async Task<TenantTable> OpenAsync(string folder)
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
        using var same = new SameRows(Path.Combine(folder, "same.db"));
        List<double> joined = [], own = [], bareInserts = [], sameRows = [];
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
            watch.Restart();
            for (count = 0; watch.Elapsed < Round; count++)
            {
                same.Pair();
            }

            sameRows.Add(watch.Elapsed.TotalMicroseconds / count / 2);
        }

        // Medians of what comes after the first round; a pair is two commits.
        double commit = Median(joined) / 2;
        double limit = where == "tmpfs" ? 1_000 : double.PositiveInfinity;
        return
        [
            new Result($"start + stop of a VM, tenant has others, {where}", Median(joined), double.NaN, "", "µs", limit, LimitIsRatio: false),
            new Result($"start + stop, key made and purged, {where}", Median(own), double.NaN, "", "µs", limit, LimitIsRatio: false),
            new Result($"one change of the table, {where}", commit, Median(bareInserts), "bare insert", "µs", where == "disk" ? 3 : double.PositiveInfinity, LimitIsRatio: true),
            new Result($"one change of the table, {where}", commit, Median(sameRows), "the same rows, bare", "µs", 3, LimitIsRatio: true),
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

    /// <summary>The median of what comes after the first round, which warms up.</summary>
    internal static double Median(List<double> rounds) => Stopwatches.Median([.. rounds.Skip(1)]);
}

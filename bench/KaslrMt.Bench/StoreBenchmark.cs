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

        return results;
    }

    private static async Task<IReadOnlyList<Result>> RunAsync(string where, string root)
    {
        string folder = Path.Combine(root, "state");
        var host = new HostIdentity("h-bench", "bench", ProcessMark.CurrentBootId);
        await using var table = new TenantTable(SqliteTenantStore.Open(Path.Combine(folder, "tenants.db"), new KeyRingFile(Path.Combine(folder, "kek"), MayCreate: true)), host, TimeSpan.FromHours(1));
        await table.RenewAsync();
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

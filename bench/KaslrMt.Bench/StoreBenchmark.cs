using System.Diagnostics;
using System.Globalization;
using KaslrMt.Tenants;
using KaslrMt.Tenants.Sqlite;
using Microsoft.Data.Sqlite;

namespace KaslrMt.Bench;

/// <summary>The SQLite tenant table: start and stop of a VM, each a durable commit, beside a bare durable insert.</summary>
internal static class StoreBenchmark
{
    internal static readonly TimeSpan Round = TimeSpan.FromSeconds(2);

    // Many short turns: a loaded moment of the machine falls on all of them, and the median leaves it out.
    private const int Turns = 40;
    private const int WarmUp = 10;
    private static readonly TimeSpan Turn = TimeSpan.FromMilliseconds(100);

    public static async Task<IReadOnlyList<Result>> RunAsync() =>
        [.. await ChangeAsync(), .. await EtcdStoreBenchmark.RunAsync(), .. await GrownStoreBenchmark.RunAsync()];

    /// <summary>One change of a small table.</summary>
    public static async Task<IReadOnlyList<Result>> ChangeAsync()
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

        // Each key that is made and purged leaves its tenant behind: thousands of them would be what the first table is measured with.
        await using TenantTable past = await OpenAsync(Path.Combine(root, "past"));
        (await past.StartAsync("acme", "stays", Policy.Default)).Dispose();
        using var bare = new SqliteConnection($"Data Source={Path.Combine(folder, "bare.db")};Pooling=False");
        bare.Open();
        using SqliteCommand insert = bare.CreateCommand();
        insert.CommandText = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE vm (id INTEGER PRIMARY KEY, name TEXT)";
        insert.ExecuteNonQuery();
        insert.CommandText = "INSERT INTO vm (name) VALUES ('a name')";

        using var same = new SameRows(Path.Combine(folder, "same.db"));
        List<double> joined = [], own = [], among = [], bareInserts = [], sameRows = [];
        for (int round = 0; round < Turns; round++)
        {
            joined.Add(await PairAsync(table, _ => "acme", where));
            own.Add(await PairAsync(past, i => $"t{round}-{i}", where));
            among.Add(await PairAsync(past, _ => "acme", where));
            bareInserts.Add(Each(where, () => insert.ExecuteNonQuery()));
            sameRows.Add(Each(where, same.Pair) / 2);
        }

        // A pair is two commits.
        double commit = AfterWarmUp(joined) / 2;
        double limit = where == "tmpfs" ? 1_000 : double.PositiveInfinity;
        return
        [
            new Result($"start + stop of a VM, tenant has others, {where}", AfterWarmUp(joined), double.NaN, "", "µs", limit, LimitIsRatio: false),
            new Result($"start + stop, key made and purged, {where}", AfterWarmUp(own), double.NaN, "", "µs", limit, LimitIsRatio: false),
            new Result($"one change of the table, {where}", commit, AfterWarmUp(bareInserts), "bare insert", "µs", 3, LimitIsRatio: true),
            new Result($"the same beside many past tenants, {where}", AfterWarmUp(among) / 2, AfterWarmUp(bareInserts), "bare insert", "µs", double.PositiveInfinity, LimitIsRatio: true),
            new Result($"one change of the table, {where}", commit, AfterWarmUp(sameRows), "the same rows, bare", "µs", 3, LimitIsRatio: true),
        ];
    }

    private static async Task<double> PairAsync(TenantTable table, Func<int, string> tenant, string where)
    {
        var turn = Stopwatch.StartNew();
        double begun = Microseconds(where);
        int count = 0;
        for (; turn.Elapsed < Turn; count++)
        {
            using Outcome started = await table.StartAsync(tenant(count), "v", Policy.Default);
            using Outcome stopped = await table.StopAsync("v", started.Vm!.Incarnation);
        }

        return (Microseconds(where) - begun) / count;
    }

    private static double Each(string where, Action work)
    {
        var turn = Stopwatch.StartNew();
        double begun = Microseconds(where);
        int count = 0;
        for (; turn.Elapsed < Turn; count++)
        {
            work();
        }

        return (Microseconds(where) - begun) / count;
    }

    // On tmpfs nothing waits: there this thread's time on a processor is what it takes, and a busy machine does not change it (proc(5), schedstat).
    private static double Microseconds(string where) => where == "tmpfs"
        ? long.Parse(File.ReadAllText("/proc/thread-self/schedstat").Split(' ')[0], CultureInfo.InvariantCulture) / 1000.0
        : Stopwatch.GetElapsedTime(0).TotalMicroseconds;

    private static double AfterWarmUp(List<double> turns) => Stopwatches.Median([.. turns.Skip(WarmUp)]);

    /// <summary>The median of what comes after the first round, which warms up.</summary>
    internal static double Median(List<double> rounds) => Stopwatches.Median([.. rounds.Skip(1)]);
}

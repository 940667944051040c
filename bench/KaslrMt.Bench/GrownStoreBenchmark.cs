using System.Diagnostics;
using System.Globalization;
using KaslrMt.Tenants;
using KaslrMt.Tenants.Sqlite;
using Microsoft.Data.Sqlite;

namespace KaslrMt.Bench;

/// <summary>The SQLite table with 1,000,000 tenants and 10,000,000 VMs, on disk, beside an empty one; and the memory that it takes.</summary>
internal static class GrownStoreBenchmark
{
    private const int Tenants = 1_000_000;
    private const int VmsOfTenant = 10;
    private const int VmsOfHost = 10_000;

    // Every so many tenants one has a key that opens: made by its first start here. The others' are bytes of the same size.
    private const int SampleStep = 2_000;
    private const int Samples = Tenants / SampleStep;
    private const int Rounds = 4;

    public static async Task<IReadOnlyList<Result>> RunAsync()
    {
        string root = Directory.CreateTempSubdirectory("kaslrmt-bench-").FullName;
        try
        {
            string folder = Path.Combine(root, "grown");
            await (await StoreBenchmark.OpenAsync(folder)).DisposeAsync();
            var filling = Stopwatch.StartNew();
            Fill(Path.Combine(folder, "tenants.db"));
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"filled {Tenants:N0} tenants with {Tenants * VmsOfTenant:N0} VMs in {filling.Elapsed.TotalSeconds:0} s, {new FileInfo(Path.Combine(folder, "tenants.db")).Length >> 20:N0} MiB"));

            // The peak begins anew: what was filled and measured before is not the table's.
            GC.Collect();
            File.WriteAllText("/proc/self/clear_refs", "5");
            await using TenantTable grown = await StoreBenchmark.OpenAsync(folder);
            await using TenantTable empty = await StoreBenchmark.OpenAsync(Path.Combine(root, "empty"));
            return await MeasureAsync(grown, empty);
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
    }

    private static async Task<IReadOnlyList<Result>> MeasureAsync(TenantTable grown, TenantTable empty)
    {
        for (int i = 0; i < VmsOfTenant; i++)
        {
            (await empty.StartAsync("acme", $"listed{i}", Policy.Default)).Dispose();
            (await grown.StartAsync("acme", $"listed{i}", Policy.Default)).Dispose();
        }

        for (int i = 0; i < Samples; i++)
        {
            await PairAsync(grown, Sample(i));
        }

        List<double> start = [], startEmpty = [], stop = [], stopEmpty = [], own = [], ownEmpty = [], list = [], listEmpty = [], host = [], hostEmpty = [];
        for (int round = 0; round < Rounds; round++)
        {
            Add(await ManyAsync(i => PairAsync(grown, Sample(i * 211))), start, stop);
            Add(await ManyAsync(i => PairAsync(empty, "acme")), startEmpty, stopEmpty);
            Add(await ManyAsync(i => PairAsync(grown, $"u{i * 7919 % 999_983}")), own, null);
            Add(await ManyAsync(i => PairAsync(empty, $"u{i * 7919 % 999_983}")), ownEmpty, null);
            Add(await ManyAsync(i => CountAsync(grown.VmsAsync($"t{(int)(i * 7919L % Tenants):D6}"))), list, null);
            Add(await ManyAsync(i => CountAsync(empty.VmsAsync("acme"))), listEmpty, null);
            Add(await ManyAsync(i => CountAsync(grown.Store.VmsOfHostAsync("h-bench"))), host, null);
            Add(await ManyAsync(i => CountAsync(empty.Store.VmsOfHostAsync("h-bench"))), hostEmpty, null);
        }

        double tables = PeakMiB();
        var watch = Stopwatch.StartNew();
        int all = await grown.Store.VmsAsync().CountAsync();
        double each = watch.Elapsed.TotalMicroseconds / all;
        if (all != (Tenants * VmsOfTenant) + VmsOfTenant)
        {
            throw new InvalidOperationException($"{all} VMs were listed");
        }

        const string of = "among 10,000,000 VMs";
        return
        [
            Beside($"start {of}, disk", start, startEmpty),
            Beside($"stop {of}, disk", stop, stopEmpty),
            Beside($"start of a tenant's first VM {of}, disk", own, ownEmpty),
            Beside($"list a tenant's 10 VMs {of}", list, listEmpty),
            Beside($"list a host's 10 VMs {of}", host, hostEmpty),
            new Result("list all 10,000,000 VMs, each", each, double.NaN, "", "µs", double.PositiveInfinity, LimitIsRatio: false),
            new Result("peak memory of starts, stops and listings", tables, double.NaN, "", "MiB", 300, LimitIsRatio: false),
            new Result("peak memory after listing all VMs", PeakMiB(), double.NaN, "", "MiB", 300, LimitIsRatio: false),
        ];
    }

    private static Result Beside(string what, List<double> grown, List<double> empty) =>
        new(what, StoreBenchmark.Median(grown), StoreBenchmark.Median(empty), "empty table", "µs", 3, LimitIsRatio: true);

    private static string Sample(int i) => $"t{i % Samples * SampleStep:D6}";

    /// <summary>One start and stop.</summary>
    private static async Task<(double Start, double Stop)> PairAsync(TenantTable table, string tenant)
    {
        long begun = Stopwatch.GetTimestamp();
        using Outcome started = await table.StartAsync(tenant, "v", Policy.Default);
        long between = Stopwatch.GetTimestamp();
        using Outcome stopped = await table.StopAsync("v", started.Vm!.Incarnation);
        return (Stopwatch.GetElapsedTime(begun, between).TotalMicroseconds, Stopwatch.GetElapsedTime(between).TotalMicroseconds);
    }

    private static async Task<(double First, double Second)> CountAsync<T>(IAsyncEnumerable<T> vms)
    {
        long begun = Stopwatch.GetTimestamp();
        int count = await vms.CountAsync();
        return count >= VmsOfTenant ? (Stopwatch.GetElapsedTime(begun).TotalMicroseconds, 0) : throw new InvalidOperationException($"{count} VMs were listed");
    }

    /// <summary>The means over two seconds.</summary>
    private static async Task<(double First, double Second)> ManyAsync(Func<int, Task<(double First, double Second)>> once)
    {
        var watch = Stopwatch.StartNew();
        (double first, double second, int count) = (0, 0, 0);
        for (; watch.Elapsed < StoreBenchmark.Round; count++)
        {
            (double a, double b) = await once(count);
            (first, second) = (first + a, second + b);
        }

        return (first / count, second / count);
    }

    private static void Add((double First, double Second) round, List<double> first, List<double>? second)
    {
        first.Add(round.First);
        second?.Add(round.Second);
    }

    private static double PeakMiB()
    {
        string line = File.ReadLines("/proc/self/status").First(line => line.StartsWith("VmHWM:", StringComparison.Ordinal));
        return double.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024;
    }

    private static void Fill(string database)
    {
        using var connection = new SqliteConnection($"Data Source={database};Pooling=False");
        connection.Open();
        using SqliteCommand fill = connection.CreateCommand();
        fill.CommandTimeout = 3600;
        fill.CommandText =
            """
            PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -64000;
            BEGIN;
            WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $tenants)
            INSERT INTO record (tenant, name, generation, vms, rotation, created) SELECT printf('t%06d', i), '', 1, $vms, 0, 0 FROM n;
            WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $tenants)
            INSERT INTO tenant_key SELECT printf('t%06d', i), 1, 1, randomblob(60), randomblob(32), 0 FROM n WHERE i % $step <> 0;
            WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $tenants * $vms)
            INSERT INTO record (tenant, name, host, generation, policy, release, status, incarnation, processes, created, since)
              SELECT printf('t%06d', i / $vms), printf('vm%08d', i), printf('h-%06d', i / $host), 1, '110010', '6.1.0', 2, randomblob(16),
              '1234,567890,3653fa16-5008-4b95-b391-aeb953b6f22e,pid:[4026531836]', 0, 0 FROM n;
            WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $tenants * $vms)
            INSERT INTO record (tenant, name, owner) SELECT '~', printf('vm%08d', i), printf('t%06d', i / $vms) FROM n;
            INSERT INTO placement SELECT DISTINCT host, tenant FROM vm;
            COMMIT
            """;
        fill.Parameters.AddWithValue("$tenants", Tenants);
        fill.Parameters.AddWithValue("$vms", VmsOfTenant);
        fill.Parameters.AddWithValue("$host", VmsOfHost);
        fill.Parameters.AddWithValue("$step", SampleStep);
        fill.ExecuteNonQuery();
    }
}

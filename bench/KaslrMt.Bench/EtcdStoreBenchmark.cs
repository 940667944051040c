using System.Diagnostics;
using System.Security.Cryptography;
using KaslrMt.Tenants;
using KaslrMt.Tenants.Etcd;

namespace KaslrMt.Bench;

/// <summary>
/// The etcd tenant table, on one real member with its data on disk: a start and a stop, beside as many bare transactions as they have round trips; and how long
/// after the beginning of a start another client's watch tells of it.
/// </summary>
internal static class EtcdStoreBenchmark
{
    private const int Rounds = 4;
    private const int Times = 300;

    public static async Task<IReadOnlyList<Result>> RunAsync()
    {
        string root = Directory.CreateTempSubdirectory("kaslrmt-bench-").FullName;
        string address = $"127.{RandomNumberGenerator.GetInt32(1, 255)}.{RandomNumberGenerator.GetInt32(1, 255)}.{RandomNumberGenerator.GetInt32(1, 255)}";
        using var etcd = Process.Start(new ProcessStartInfo("etcd", [
            "--name", "bench", "--data-dir", Path.Combine(root, "etcd"), "--initial-cluster", $"bench=http://{address}:12380",
            "--listen-client-urls", $"http://{address}:12379", "--advertise-client-urls", $"http://{address}:12379",
            "--listen-peer-urls", $"http://{address}:12380", "--initial-advertise-peer-urls", $"http://{address}:12380",
            "--logger", "zap", "--log-level", "error",
        ]))!;
        try
        {
            var location = EtcdLocation.Parse($"etcd://{address}:12379");
            KeyRingFile keys = new(Path.Combine(root, "kek"), MayCreate: true);
            EtcdTenantStore store = await EtcdTenantStore.OpenAsync(location, new EtcdAccess(), keys);
            await using var table = new TenantTable(store, new HostIdentity("h-bench", "bench", ProcessMark.CurrentBootId), TimeSpan.FromHours(1));
            using var bare = new EtcdClient(location, new EtcdAccess());
            await using EtcdTenantStore watcher = await EtcdTenantStore.OpenAsync(location, new EtcdAccess(), keys);
            return await MeasureAsync(table, store, bare, watcher);
        }
        finally
        {
            etcd.Kill();
            await etcd.WaitForExitAsync();
            Directory.Delete(root, recursive: true);
        }
    }

    private static async Task<IReadOnlyList<Result>> MeasureAsync(TenantTable table, EtcdTenantStore store, EtcdClient bare, EtcdTenantStore watcher)
    {
        await table.RenewAsync();
        (await table.StartAsync("acme", "stays", Policy.Default)).Dispose();
        byte[] value = new byte[300];
        await using IAsyncEnumerator<TableChange> watch = watcher.WatchAsync().GetAsyncEnumerator();
        await watch.MoveNextAsync();
        List<double> starts = [], stops = [], reads = [], writes = [], tellings = [];
        long startTrips = 0, stopTrips = 0;
        for (int round = 0; round < Rounds; round++)
        {
            (double start, double stop, double read, double write, double told) = (0, 0, 0, 0, 0);
            for (int i = 0; i < Times; i++)
            {
                long trips = store.RoundTrips;
                long begun = Stopwatch.GetTimestamp();
                Task<long> telling = NextAsync(watch);
                using Outcome started = await table.StartAsync("acme", "v", Policy.Default);
                start += Stopwatch.GetElapsedTime(begun).TotalMicroseconds;
                told += Stopwatch.GetElapsedTime(begun, await telling).TotalMicroseconds;
                startTrips = Math.Max(startTrips, store.RoundTrips - trips);

                trips = store.RoundTrips;
                begun = Stopwatch.GetTimestamp();
                using Outcome stopped = await table.StopAsync("v", started.Vm!.Incarnation);
                stop += Stopwatch.GetElapsedTime(begun).TotalMicroseconds;
                await NextAsync(watch);
                stopTrips = Math.Max(stopTrips, store.RoundTrips - trips);

                begun = Stopwatch.GetTimestamp();
                await bare.TransactAsync(new EtcdTransaction().Read("/bare/one"), CancellationToken.None);
                read += Stopwatch.GetElapsedTime(begun).TotalMicroseconds;
                begun = Stopwatch.GetTimestamp();
                await bare.TransactAsync(new EtcdTransaction().Unchanged("/bare/none", 0).Put("/bare/one", value), CancellationToken.None);
                write += Stopwatch.GetElapsedTime(begun).TotalMicroseconds;
            }

            starts.Add(start / Times);
            stops.Add(stop / Times);
            reads.Add(read / Times);
            writes.Add(write / Times);
            tellings.Add(told / Times);
        }

        double pair = StoreBenchmark.Median(reads) + StoreBenchmark.Median(writes);
        return
        [
            new Result("etcd round trips of a start", startTrips, double.NaN, "", "", 3, LimitIsRatio: false),
            new Result("etcd round trips of a stop", stopTrips, double.NaN, "", "", 3, LimitIsRatio: false),
            new Result("etcd start, one member on disk", StoreBenchmark.Median(starts), pair, "a bare read and a bare write", "µs", 3, LimitIsRatio: true),
            new Result(
                "etcd stop, one member on disk",
                StoreBenchmark.Median(stops),
                pair + StoreBenchmark.Median(reads),
                "two bare reads and a bare write",
                "µs",
                3,
                LimitIsRatio: true),
            new Result(
                "etcd watch, from the beginning of a start", StoreBenchmark.Median(tellings), StoreBenchmark.Median(starts), "the start", "µs", 1.5, LimitIsRatio: true),
        ];
    }

    /// <summary>Waits until the watch tells of the VM, and says when.</summary>
    private static async Task<long> NextAsync(IAsyncEnumerator<TableChange> watch)
    {
        do
        {
            await watch.MoveNextAsync();
        }
        while (watch.Current.Kind != TableChangeKind.Vm);
        return Stopwatch.GetTimestamp();
    }
}

using System.Diagnostics;
using System.Security.Cryptography;
using KaslrMt.Tenants;
using KaslrMt.Tenants.Etcd;

namespace KaslrMt.Bench;

/// <summary>The etcd tenant table, on one real member with its data on disk: a start, beside as many bare transactions as it has round trips.</summary>
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
            EtcdTenantStore store = await EtcdTenantStore.OpenAsync(location, new EtcdAccess(), new KeyRingFile(Path.Combine(root, "kek"), MayCreate: true));
            await using var table = new TenantTable(store, new HostIdentity("h-bench", "bench", ProcessMark.CurrentBootId), TimeSpan.FromHours(1));
            using var bare = new EtcdClient(location, new EtcdAccess());
            return await MeasureAsync(table, store, bare);
        }
        finally
        {
            etcd.Kill();
            await etcd.WaitForExitAsync();
            Directory.Delete(root, recursive: true);
        }
    }

    private static async Task<IReadOnlyList<Result>> MeasureAsync(TenantTable table, EtcdTenantStore store, EtcdClient bare)
    {
        await table.RenewAsync();
        (await table.StartAsync("acme", "stays", Policy.Default)).Dispose();
        byte[] value = new byte[300];
        List<double> starts = [], stops = [], reads = [], writes = [];
        long startTrips = 0, stopTrips = 0;
        for (int round = 0; round < Rounds; round++)
        {
            (double start, double stop, double read, double write) = (0, 0, 0, 0);
            for (int i = 0; i < Times; i++)
            {
                long trips = store.RoundTrips;
                long begun = Stopwatch.GetTimestamp();
                using Outcome started = await table.StartAsync("acme", "v", Policy.Default);
                start += Stopwatch.GetElapsedTime(begun).TotalMicroseconds;
                startTrips = Math.Max(startTrips, store.RoundTrips - trips);

                trips = store.RoundTrips;
                begun = Stopwatch.GetTimestamp();
                using Outcome stopped = await table.StopAsync("v", started.Vm!.Incarnation);
                stop += Stopwatch.GetElapsedTime(begun).TotalMicroseconds;
                stopTrips = Math.Max(stopTrips, store.RoundTrips - trips);

                begun = Stopwatch.GetTimestamp();
                await bare.CallAsync("/v3/kv/txn", new EtcdTransaction().Read("/bare/one").Request, CancellationToken.None);
                read += Stopwatch.GetElapsedTime(begun).TotalMicroseconds;
                begun = Stopwatch.GetTimestamp();
                await bare.CallAsync("/v3/kv/txn", new EtcdTransaction().Unchanged("/bare/none", 0).Put("/bare/one", value).Request, CancellationToken.None);
                write += Stopwatch.GetElapsedTime(begun).TotalMicroseconds;
            }

            starts.Add(start / Times);
            stops.Add(stop / Times);
            reads.Add(read / Times);
            writes.Add(write / Times);
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
        ];
    }
}

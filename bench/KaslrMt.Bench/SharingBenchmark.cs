using System.Collections.Concurrent;
using System.Globalization;
using KaslrMt.Guests;
using KaslrMt.Sharing;

namespace KaslrMt.Bench;

/// <summary>Fingerprinting and comparing all pages of 30 guests, as <c>kaslrmt sharing</c> does, beside reading their RAM once.</summary>
/// <remarks>
/// Without KASLR, when most pages are equal, and every one of them is compared byte by byte; and with the guests' own KASLR, when fewer are. The
/// guests stand still. Each has, beyond its kernel, a file of <see cref="FileMebibytes"/> in memory, whose pages differ from each other and are the same in all guests.
/// </remarks>
internal static class SharingBenchmark
{
    private const int Guests = 30;
    private const int Mebibytes = 256;
    private const int FileMebibytes = 32;
    private const int Rounds = 5;
    private const double Target = 3;

    public static async Task<IReadOnlyList<Result>> RunAsync()
    {
        List<Result> results = [];
        results.Add(await MeasureAsync("just booted, no KASLR", "", "nokaslr"));
        results.Add(await MeasureAsync("just booted, their own KASLR", "", ""));
        results.Add(await MeasureAsync("with a file, no KASLR", BenchGuest.WithFile(FileMebibytes), "nokaslr"));
        return results;
    }

    private static async Task<Result> MeasureAsync(string what, string before, string parameters)
    {
        ConcurrentBag<BenchGuest> started = [];
        try
        {
            await Parallel.ForEachAsync(
                Enumerable.Range(0, Guests),
                new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount },
                async (_, _) => started.Add(await BenchGuest.StartAsync(TestKernels.Always[0], Mebibytes, before, parameters)));
            BenchGuest[] guests = [.. started];
            foreach (BenchGuest guest in guests)
            {
                await guest.Monitor.ExecuteAsync("stop");
            }

            GuestKernel[] kernels = [.. guests.Select(guest => GuestKernel.Find(guest.Memory))];
            byte[] block = new byte[1 << 20];
            double share = 0;
            (double ours, double bare) = Stopwatches.Alternate(
                Rounds,
                () =>
                {
                    GuestPages[] pages = [.. kernels.Select((kernel, i) => GuestPages.Read(string.Create(CultureInfo.InvariantCulture, $"guest {i}"), null, kernel))];
                    PageTally all = GuestSharing.Of(pages, CancellationToken.None).Table.All;
                    share = (double)(all.Redundant - all.Zero) / (all.Pages - all.Zero);
                },
                () =>
                {
                    foreach (BenchGuest guest in guests)
                    {
                        BareRead.All(guest.Memory, block);
                    }
                });
            return new Result(
                string.Create(CultureInfo.InvariantCulture, $"fingerprint and compare {Guests} guests of {Mebibytes} MiB, {what} ({share:P0} of the pages that are not zero equal)"),
                ours,
                bare,
                "reading their RAM once",
                "ms",
                Target,
                LimitIsRatio: true);
        }
        finally
        {
            foreach (BenchGuest guest in started)
            {
                await guest.DisposeAsync();
            }
        }
    }
}

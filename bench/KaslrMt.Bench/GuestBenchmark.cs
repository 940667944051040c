using System.Diagnostics;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;

namespace KaslrMt.Bench;

/// <summary>Looking into a running guest that nobody prepared: finding its kernel, walking its page tables; beside the way that drgn reads.</summary>
internal static class GuestBenchmark
{
    private const int Rounds = 15;
    private const int Memory = 512;

    // Three quarters of the RAM, with something other than zeros; a guest that does not get there never reaches its mark.
    private static readonly string Fill = BenchGuest.WithFile(Memory * 3 / 4);

    private static readonly VirtualAddress Last = new(ulong.MaxValue);

    public static async Task<IReadOnlyList<Result>> RunAsync()
    {
        List<Result> results = [];
        foreach (string name in TestKernels.Always)
        {
            results.Add(PageBenchmark.MeasureTypes(name));
            await using (BenchGuest booted = await BenchGuest.StartAsync(name, Memory))
            {
                var peer = new PageByPageMemory(booted.Monitor, booted.ProcessId, booted.Memory.Ranges);
                results.AddRange(Measure($"{name}, {Memory} MiB", name, booted.Memory, await QemuRegisters.ReadHintsAsync(booted.Monitor), peer));
                results.AddRange(PageBenchmark.Measure($"{name}, {Memory} MiB, just booted", booted.Memory));
            }

            await using BenchGuest filled = await BenchGuest.StartAsync(name, Memory, Fill);
            results.AddRange(PageBenchmark.Measure($"{name}, {Memory} MiB, filled", filled.Memory));
        }

        return results;
    }

    private static IEnumerable<Result> Measure(string what, string name, QemuMemory memory, KernelHints hints, PageByPageMemory peer)
    {
        using KernelInspection inspection = KernelInspection.Of(TestKernels.Image(name));
        var image = new KernelHints(Image: KernelIdentity.Of(inspection));
        GuestKernel kernel = GuestKernel.Find(memory);
        VirtualAddress half = new(ulong.MaxValue << (11 + (9 * kernel.Tables.Levels)));

        double bare = Median(() => BareRead.All(memory, new byte[1 << 20]));
        yield return new Result($"find, nothing known, {what}", Median(() => GuestKernel.Find(memory)), bare, "reading all RAM once", "ms", 300, LimitIsRatio: false);
        yield return new Result($"find, CR3 known, {what}", Median(() => GuestKernel.Find(memory, hints)), bare, "reading all RAM once", "ms", 300, LimitIsRatio: false);
        yield return new Result($"find, image known, {what}", Median(() => GuestKernel.Find(memory, image)), bare, "reading all RAM once", "ms", 50, LimitIsRatio: false);

        foreach (Result result in AuditBenchmark.Measure(what, name, memory, hints, bare, action => Median(action)))
        {
            yield return result;
        }

        int leaves = 0;
        double walk = Median(() => leaves = kernel.Tables.Leaves(half, Last).Count());
        var theirs = new PageTableWalk(peer, kernel.Tables.Root, kernel.Tables.Levels);
        double page = Median(() => leaves = theirs.Leaves(half, Last).Count(), 3);
        yield return new Result($"walk {leaves} pages, {what}", walk, page, "gpa2hva and a read for each table", "ms", 50, LimitIsRatio: false);
        yield return new Result($"map of the address space, {what}", Median(() => AddressSpaceMap.Read(kernel)), page, "the same walk alone", "ms", 50, LimitIsRatio: false);
    }

    private static double Median(Action action, int rounds = Rounds)
    {
        List<double> times = [];
        for (int round = -1; round < rounds; round++)
        {
            long start = Stopwatch.GetTimestamp();
            action();
            if (round >= 0)
            {
                times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            }
        }

        return Stopwatches.Median(times);
    }
}

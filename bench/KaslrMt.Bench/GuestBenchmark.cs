using System.Diagnostics;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;

namespace KaslrMt.Bench;

/// <summary>Looking into a running guest that nobody prepared: finding its kernel, walking its page tables; beside the way that drgn reads.</summary>
internal static class GuestBenchmark
{
    private const int Rounds = 15;
    private const string Mark = "KASLRMT-INIT";
    private const int Memory = 512;

    // Three quarters of the RAM, with something other than zeros.
    private const string Fill = "mkdir -p /full; mount -t tmpfs -o size=384m none /full; yes | head -c 384M > /full/file; ";

    private static readonly VirtualAddress Last = new(ulong.MaxValue);

    public static async Task<IReadOnlyList<Result>> RunAsync()
    {
        List<Result> results = [];
        foreach (string name in TestKernels.Always)
        {
            results.Add(PageBenchmark.MeasureTypes(name));
            await WithGuestAsync(name, "", async (qemu, monitor, memory) =>
            {
                results.AddRange(Measure($"{name}, {Memory} MiB", name, memory, await QemuRegisters.ReadHintsAsync(monitor), new PageByPageMemory(monitor, qemu, memory.Ranges)));
                results.AddRange(PageBenchmark.Measure($"{name}, {Memory} MiB, just booted", memory));
            });
            await WithGuestAsync(name, Fill, (_, _, memory) =>
            {
                results.AddRange(PageBenchmark.Measure($"{name}, {Memory} MiB, filled", memory));
                return Task.CompletedTask;
            });
        }

        return results;
    }

    private static async Task WithGuestAsync(string name, string before, Func<int, QmpClient, QemuMemory, Task> measure)
    {
        string folder = BenchKernel.MemoryFolder();
        using Process qemu = Start(name, folder, Path.Combine(folder, "qmp"), before);
        try
        {
            await using QmpClient monitor = await QmpClient.ConnectAsync(Path.Combine(folder, "qmp"), QmpClient.DefaultTimeout);
            using QemuMemory memory = await QemuMemory.OpenAsync(monitor, qemu.Id);
            await measure(qemu.Id, monitor, memory);
        }
        finally
        {
            qemu.Kill();
            await qemu.WaitForExitAsync();
            Directory.Delete(folder, recursive: true);
        }
    }

    private static IEnumerable<Result> Measure(string what, string name, QemuMemory memory, KernelHints hints, PageByPageMemory peer)
    {
        using KernelInspection inspection = KernelInspection.Of(TestKernels.Image(name));
        var image = new KernelHints(Image: KernelIdentity.Of(inspection));
        GuestKernel kernel = GuestKernel.Find(memory);
        VirtualAddress half = new(ulong.MaxValue << (11 + (9 * kernel.Tables.Levels)));

        double bare = Median(() => ReadAll(memory));
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

    private static void ReadAll(QemuMemory memory)
    {
        byte[] block = new byte[1 << 20];
        foreach (PhysicalRange range in memory.Ranges)
        {
            for (ulong offset = 0; offset < range.Length; offset += (ulong)block.Length)
            {
                memory.Read(range.Start + offset, block.AsSpan(0, (int)Math.Min((ulong)block.Length, range.Length - offset)));
            }
        }
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

    private static Process Start(string kernel, string folder, string socket, string before)
    {
        string initrd = Initramfs.BuildTo(Path.Combine(folder, "initrd"), $"{before}echo {Mark}; sleep 100000");
        string[] arguments =
        [
            "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", $"{Memory}M", "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio",
            "-kernel", TestKernels.Image(kernel), "-initrd", initrd, "-append", "console=ttyS0 quiet", "-qmp", $"unix:{socket},server=on,wait=off",
        ];
        Process qemu = Process.Start(new ProcessStartInfo("qemu-system-x86_64", arguments) { RedirectStandardOutput = true, RedirectStandardInput = true })!;
        while (qemu.StandardOutput.ReadLine() is string line)
        {
            if (line.Contains(Mark, StringComparison.Ordinal))
            {
                return qemu;
            }
        }

        throw new InvalidOperationException($"{kernel} ended before init ran");
    }
}

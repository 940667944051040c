using System.Diagnostics;
using System.Globalization;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;

namespace KaslrMt.Bench;

/// <summary>Classifying and fingerprinting every page of a guest, beside the barest read of the same RAM.</summary>
/// <remarks>
/// Two guests of each kernel: one just booted, most of whose RAM was never written (reading it copies one page of zeros over and over, from the
/// cache), and one that has filled its RAM. For the bare read the best of several block sizes counts.
/// </remarks>
internal static class PageBenchmark
{
    private const int Rounds = 15;

    private static readonly TimeSpan WarmUpTime = TimeSpan.FromSeconds(2);

    // 60 % of the bare read's rate.
    private const double Target = 1 / 0.6;

    private static readonly int[] BlockSizes = [64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20];

    public static IEnumerable<Result> Measure(string what, QemuMemory memory)
    {
        GuestKernel kernel = GuestKernel.Find(memory);
        GuestModules modules = GuestModules.Read(kernel);
        byte[] buffer = new byte[BlockSizes.Max()];
        int best = BlockSizes.MinBy(size => Median(() => BareRead.All(memory, buffer.AsSpan(0, size)), 3));
        WarmUp(kernel, modules, memory);
        PageCensus census = PageMap.Classify(kernel, modules).Census;
        (double ours, double bare) = Stopwatches.Alternate(
            Rounds,
            () =>
            {
                PageMap.Classify(kernel, modules);
                PageFingerprints.Read(memory);
            },
            () => BareRead.All(memory, buffer.AsSpan(0, best)));
        string baseline = string.Create(CultureInfo.InvariantCulture, $"bare read, {best >> 10} KiB blocks");
        yield return new Result($"classes and fingerprints, {what}", ours, bare, baseline, "ms", Target, LimitIsRatio: true);

        double classes = Median(() => PageMap.Classify(kernel, modules), Rounds);
        yield return new Result(
            string.Create(CultureInfo.InvariantCulture, $"classes of {census.Total} pages, {what}"), classes, bare, baseline, "ms", double.PositiveInfinity, LimitIsRatio: false);
    }

    // The runtime compiles what it has seen often again, in the background; the first guest measured would be measured with the code before that.
    private static void WarmUp(GuestKernel kernel, GuestModules modules, QemuMemory memory)
    {
        var watch = Stopwatch.StartNew();
        while (watch.Elapsed < WarmUpTime)
        {
            PageMap.Classify(kernel, modules);
            PageFingerprints.Read(memory);
        }
    }

    /// <summary>Reading a kernel's type information, all of it and one structure.</summary>
    public static Result MeasureTypes(string name)
    {
        byte[] file = BenchKernel.ReadUnpacked(name);
        ElfImage elf = ElfImage.Read(file);
        ElfSegment text = elf.Loads[0];
        Kallsyms symbols = Kallsyms.Copy(file.AsSpan(text.FileOffset, text.FileSize), text.VirtualAddress);
        int At(string symbol) => text.FileOffset + (int)(symbols.All(symbol)[0].Address - text.VirtualAddress);
        ReadOnlyMemory<byte> btf = file.AsMemory(At("__start_BTF")..At("__stop_BTF"));
        int count = 0;
        double read = Median(
            () =>
            {
                TypeTable types = TypeTable.Read(btf);
                count = types.Count + types.RequiredStruct("module").Required("state").Offset;
            },
            Rounds);
        return new Result($"types and one structure, {name}", read, double.NaN, "", "ms", 15, LimitIsRatio: false);
    }

    private static double Median(Action action, int rounds)
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

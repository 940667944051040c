using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Perfolizer.Horology;

namespace KaslrMt.Bench;

/// <summary>The parts of the image's way that take microseconds to milliseconds, by BenchmarkDotNet in this process.</summary>
internal static class MicroBenchmarks
{
    private const double Million = 1e6;

    public static IEnumerable<Result> Run()
    {
        IConfig config = ManualConfig.CreateEmpty()
            .AddJob(Job.Default.WithToolchain(InProcessEmitToolchain.Instance).WithWarmupCount(3).WithIterationCount(15).WithIterationTime(TimeInterval.FromMilliseconds(250)))
            .AddLogger(NullLogger.Instance)
            .AddColumnProvider(BenchmarkDotNet.Columns.DefaultColumnProviders.Instance);
        Summary relocation = BenchmarkRunner.Run<RelocationBenchmark>(config);
        Summary kallsyms = BenchmarkRunner.Run<KallsymsBenchmark>(config);
        foreach (string kernel in TestKernels.Always)
        {
            double entries = RelocationBenchmark.Entries(kernel);
            yield return new Result(
                $"relocation, {kernel}, {entries:0} entries",
                Median(relocation, kernel, nameof(RelocationBenchmark.Apply)) / entries,
                Median(relocation, kernel, nameof(RelocationBenchmark.NaiveLoop)) / entries,
                "naive loop",
                "ns/entry",
                10,
                LimitIsRatio: false);
            yield return new Result(
                $"kallsyms, {kernel}, tables and boot symbols",
                Median(kallsyms, kernel, nameof(KallsymsBenchmark.FindTablesAndSymbols)) / Million,
                Median(kallsyms, kernel, nameof(KallsymsBenchmark.EnumerateAllNames)) / Million,
                "all names",
                "ms",
                30,
                LimitIsRatio: false);
        }
    }

    private static double Median(Summary summary, string kernel, string method)
    {
        BenchmarkReport report = summary.Reports.Single(
            report => report.BenchmarkCase.Descriptor.WorkloadMethod.Name == method && (string)report.BenchmarkCase.Parameters["Kernel"] == kernel);
        return report.ResultStatistics?.Median ?? throw new InvalidOperationException($"{method} on {kernel} did not run: {summary.Title}");
    }
}

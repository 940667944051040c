using System.Diagnostics;
using System.Globalization;
using KaslrMt.Kernels;
using KaslrMt.Vms.Workers;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.WorkerProbe;

/// <summary>What a worker costs: <c>KaslrMt.WorkerProbe measure ROUNDS KERNEL…</c>, the medians beside those of the same process, by turns.</summary>
internal static class Measurement
{
    private const ulong Slide = 0x1d200000;

    internal static async Task<int> RunAsync(int rounds, string[] kernels)
    {
        var settings = new WorkerSettings(Environment.ProcessPath!, []);
        foreach (string kernel in kernels)
        {
            List<double> here = [], there = [], checking = [], moving = [];
            string copy = Path.Combine("/dev/shm", $"kaslrmt-measure-{Path.GetRandomFileName()}");
            try
            {
                for (int round = -1; round < rounds; round++)
                {
                    long start = Stopwatch.GetTimestamp();
                    using (PreparedKernel prepared = PreparedKernel.Open(kernel))
                    {
                        Add(here, start, round);
                        using SafeFileHandle file = File.OpenHandle(copy, FileMode.Create, FileAccess.ReadWrite);
                        prepared.WriteTo(file);
                        start = Stopwatch.GetTimestamp();
                        using PreparedKernel again = PreparedKernel.Read(file);
                        Add(checking, start, round);
                        start = Stopwatch.GetTimestamp();
                        again.MoveTo(new VirtualAddress(again.Facts.LinkBase + Slide));
                        Add(moving, start, round);
                    }

                    using SafeFileHandle input = File.OpenHandle(kernel);
                    start = Stopwatch.GetTimestamp();
                    using PreparedKernel worked = await KernelWorkerProcess.PrepareAsync(input, settings, CancellationToken.None).ConfigureAwait(false);
                    Add(there, start, round);
                }
            }
            finally
            {
                File.Delete(copy);
            }

            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{kernel}: in this process {Median(here):0.0} ms, through the worker {Median(there):0.0} ms (of it reading and checking {Median(checking):0.0} ms); moving {Median(moving):0.0} ms"));
        }

        return 0;
    }

    private static void Add(List<double> times, long start, int round)
    {
        if (round >= 0)
        {
            times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }
    }

    private static double Median(List<double> times)
    {
        times.Sort();
        return (times[(times.Count - 1) / 2] + times[times.Count / 2]) / 2;
    }
}

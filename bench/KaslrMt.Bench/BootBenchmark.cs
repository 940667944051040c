using System.Diagnostics;
using KaslrMt.Hypervisors;

namespace KaslrMt.Bench;

/// <summary>From QEMU's start to the first line that init prints: a kernel moved by the host beside the same one that moves itself.</summary>
internal static class BootBenchmark
{
    private const int Pairs = 10;
    private const string Mark = "KASLRMT-INIT";
    private const int Memory = 512;

    public static IEnumerable<Result> Run()
    {
        string folder = BenchKernel.MemoryFolder();
        try
        {
            string initrd = Initramfs.BuildTo(Path.Combine(folder, "initrd"), "poweroff -f", new Dictionary<string, byte[]> { ["/first"] = First() });
            string image = Path.Combine(folder, "image");
            foreach (string name in TestKernels.Always)
            {
                string stock = TestKernels.Image(name);
                using KernelImage kernel = KernelImage.Open(stock);
                List<double> ours = [];
                List<double> theirs = [];
                for (int pair = -1; pair < Pairs; pair++)
                {
                    // A layout of its own for each boot, as the stock kernel draws one.
                    using KernelLayout layout = BenchKernel.Layout(kernel.Geometry, pair + 1, Memory * ByteSize.MiB);
                    kernel.WriteBootImage(layout, image);
                    double moved = Boot(image, initrd);
                    double itself = Boot(stock, initrd);
                    if (pair >= 0)
                    {
                        ours.Add(moved);
                        theirs.Add(itself);
                    }
                }

                yield return new Result(
                    $"boot to init, {name}, {Memory} MiB, TCG", Stopwatches.Median(ours), Stopwatches.Median(theirs), "stock bzImage", "ms", 0.92, LimitIsRatio: true);
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Init itself: says that it runs before it does anything else.</summary>
    private static byte[] First() => System.Text.Encoding.ASCII.GetBytes($"#!/bin/busybox sh\necho {Mark}\n/bin/busybox poweroff -f\n");

    private static double Boot(string kernel, string initrd)
    {
        string[] arguments =
        [
            "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", $"{Memory}M", "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio",
            "-no-reboot", "-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 quiet panic=-1 rdinit=/first",
        ];
        long start = Stopwatch.GetTimestamp();
        using Process qemu = Process.Start(new ProcessStartInfo("qemu-system-x86_64", arguments) { RedirectStandardOutput = true, RedirectStandardInput = true })!;
        double elapsed = double.NaN;
        while (qemu.StandardOutput.ReadLine() is string line)
        {
            if (line.Contains(Mark, StringComparison.Ordinal))
            {
                elapsed = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
                break;
            }
        }

        // The rest of the boot is not measured; the process is ours to end.
        qemu.Kill();
        qemu.WaitForExit();
        return double.IsNaN(elapsed) ? throw new InvalidOperationException($"{kernel} ended before init ran") : elapsed;
    }
}

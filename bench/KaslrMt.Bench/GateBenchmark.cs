using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using KaslrMt.Hypervisors;
using KaslrMt.Sharing;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Bench;

/// <summary>The gate: putting a kernel into a guest that waits, boots and reboots through it, and what QEMU holds beside guest RAM.</summary>
internal static partial class GateBenchmark
{
    private const string Mark = "KASLRMT-INIT";
    private const int Memory = 512;
    private const int Feeds = 11;
    private const int Pairs = 10;

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    public static async Task<IReadOnlyList<Result>> RunAsync()
    {
        string folder = BenchKernel.MemoryFolder();
        List<Result> results = [];
        try
        {
            string initrd = Initramfs.BuildTo(Path.Combine(folder, "initrd"), "poweroff -f", new Dictionary<string, byte[]> { ["/first"] = First() });
            foreach (string name in TestKernels.Always)
            {
                using PreparedKernel kernel = PreparedKernel.Open(TestKernels.Image(name));
                List<double> feeds = [], copies = [], boots = [], stockBoots = [], reboots = [], stockReboots = [], own = [], stockOwn = [], bareOwn = [];
                int bytes = kernel.Facts.Segments.Sum(segment => segment.FileSize);
                for (int i = -1; i < Math.Max(Feeds, Pairs); i++)
                {
                    (double feed, double boot, double reboot, double held) = await OursAsync(folder, kernel, initrd, i + 1);
                    double copy = CopyIntoFreshMemory(bytes);
                    (double stockBoot, double stockReboot, double stockHeld) = Stock(TestKernels.Image(name), initrd);
                    if (i >= 0)
                    {
                        feeds.Add(feed);
                        copies.Add(copy);
                        boots.Add(boot);
                        stockBoots.Add(stockBoot);
                        reboots.Add(reboot);
                        stockReboots.Add(stockReboot);
                        own.Add(held);
                        stockOwn.Add(stockHeld);
                        bareOwn.Add(Bare());
                    }
                }

                string what = string.Create(CultureInfo.InvariantCulture, $"{name}, {Memory} MiB, TCG");
                results.Add(new($"feed, WAIT seen to GO written, {name}", Stopwatches.Median(feeds), Stopwatches.Median(copies), $"memcpy of {bytes >> 20} MiB", "ms", 4.5, LimitIsRatio: true));
                results.Add(new($"boot to init, {what}", Stopwatches.Median(boots), Stopwatches.Median(stockBoots), "stock bzImage", "ms", 0.70, LimitIsRatio: true));
                results.Add(new($"reboot to init, {what}", Stopwatches.Median(reboots), Stopwatches.Median(stockReboots), "stock bzImage", "ms", 0.65, LimitIsRatio: true));
                double bare = Stopwatches.Median(bareOwn);
                results.Add(new($"QEMU beside guest RAM and translated code, {name}", Stopwatches.Median(own), bare, "no -kernel", "MiB", bare + 2, LimitIsRatio: false));
                results.Add(new($"the same of the stock bzImage, {name}", Stopwatches.Median(stockOwn), bare, "no -kernel", "MiB", double.PositiveInfinity, LimitIsRatio: false));
            }

            return results;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Init itself: says that it runs before it does anything else; the second time it waits.</summary>
    private static byte[] First() => System.Text.Encoding.ASCII.GetBytes($"#!/bin/busybox sh\necho {Mark}\n/bin/busybox reboot -f\n");

    private static async Task<(double Feed, double Boot, double Reboot, double Own)> OursAsync(string scratch, PreparedKernel kernel, string initrd, int number)
    {
        RuntimeDirectory runtime = RuntimeDirectory.Open(Path.Combine(scratch, "run"));
        using VmFolder folder = runtime.Claim(string.Create(CultureInfo.InvariantCulture, $"gate{number}"));
        string console = Path.Combine(scratch, "console");
        File.Delete(console);
        MachineDefinition definition = new()
        {
            Kernel = null,
            HasGate = true,
            Machine = Hypervisor.Default.Machine("q35"),
            Memory = new ByteSize(Memory * ByteSize.MiB),
            Accelerator = AcceleratorChoice.Decide(Accelerator.Tcg),
            Console = SerialConsole.ToFile(console),
        };
        long start = Stopwatch.GetTimestamp();
        await using IVirtualMachine vm = await Hypervisor.Default.StartAsync(definition, folder);
        double feed = await FeedAsync(vm, kernel, initrd, number);
        await MarksAsync(console, 1);
        double boot = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        start = Stopwatch.GetTimestamp();
        await vm.WaitForResetAsync();
        _ = await FeedAsync(vm, kernel, initrd, number);
        await MarksAsync(console, 2);
        double reboot = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        double own = (Sharing.ProcessMemory.Read(vm.ProcessId)?.Own ?? 0) / (double)ByteSize.MiB;
        return (feed, boot, reboot, own);
    }

    private static async Task<double> FeedAsync(IVirtualMachine vm, PreparedKernel kernel, string initrd, int number)
    {
        using VmGate gate = await vm.WaitForGateAsync(Patience);
        long start = Stopwatch.GetTimestamp();
        FirmwareWords words = gate.ReadWords();
        using SafeFileHandle file = File.OpenHandle(initrd);
        PhysicalRange range = words.PlaceInitrd((ulong)RandomAccess.GetLength(file));
        using KernelLayout layout = BenchKernel.Layout(kernel.Facts.Geometry, number, Memory * ByteSize.MiB);
        gate.Open(kernel, layout, ModuleAddresses.ByOrder, "console=ttyS0 quiet panic=-1 rdinit=/first", file, range, words);
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }

    private static async Task MarksAsync(string console, int count)
    {
        while (!File.Exists(console) || (await File.ReadAllTextAsync(console)).Split(Mark).Length <= count)
        {
            await Task.Delay(5);
        }
    }

    private static (double Boot, double Reboot, double Own) Stock(string kernel, string initrd)
    {
        using Process qemu = Start("-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 quiet panic=-1 rdinit=/first");
        long start = Stopwatch.GetTimestamp();
        double boot = NextMark(qemu, start);
        start = Stopwatch.GetTimestamp();
        double reboot = NextMark(qemu, start);
        double own = (Sharing.ProcessMemory.Read(qemu.Id)?.Own ?? 0) / (double)ByteSize.MiB;
        qemu.Kill();
        qemu.WaitForExit();
        return (boot, reboot, own);
    }

    private static double Bare()
    {
        using Process qemu = Start();
        Thread.Sleep(1000);
        double own = (Sharing.ProcessMemory.Read(qemu.Id)?.Own ?? 0) / (double)ByteSize.MiB;
        qemu.Kill();
        qemu.WaitForExit();
        return own;
    }

    private static Process Start(params string[] further)
    {
        string[] arguments = ["-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", $"{Memory}M", "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", .. further];
        return Process.Start(new ProcessStartInfo("qemu-system-x86_64", arguments) { RedirectStandardOutput = true, RedirectStandardInput = true })!;
    }

    private static double NextMark(Process qemu, long start)
    {
        while (qemu.StandardOutput.ReadLine() is string line)
        {
            if (line.Contains(Mark, StringComparison.Ordinal))
            {
                return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            }
        }

        throw new InvalidOperationException("QEMU ended before init ran");
    }

    // As QEMU has guest RAM: huge pages where the host gives them.
    private static unsafe double CopyIntoFreshMemory(int bytes)
    {
        using NativeBuffer source = new(bytes);
        source.Span.Fill(0x5a);
        nuint length = (nuint)Memory << 20;
        byte* fresh = (byte*)Map(0, length, 3, 0x22, -1, 0);
        try
        {
            _ = Advise((nint)fresh, length, 14);
            long start = Stopwatch.GetTimestamp();
            source.Span.CopyTo(new Span<byte>(fresh, bytes));
            return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }
        finally
        {
            _ = Unmap((nint)fresh, length);
        }
    }

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial nint Map(nint address, nuint length, int protection, int flags, int descriptor, nint offset);

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(nint address, nuint length, int advice);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int Unmap(nint address, nuint length);
}

using System.Diagnostics;
using System.Globalization;
using KaslrMt.Hypervisors;
using KaslrMt.Sharing;

namespace KaslrMt.Bench;

/// <summary>What the agent costs a host: memory by the number of VMs, processor time at rest, taking VMs back, and what <c>ps</c> takes beside it. The published programs.</summary>
internal static class AgentBenchmark
{
    private const int Vms = 30;
    private const int Pairs = 31;

    private static readonly TimeSpan Rest = TimeSpan.FromSeconds(60);

    public static IEnumerable<Result> Run()
    {
        string published = Path.GetFullPath("out"), command = Path.Combine(published, "kaslrmt"), agent = Path.Combine(published, "kaslrmtd");
        string folder = BenchKernel.MemoryFolder();
        Environment.SetEnvironmentVariable("KASLRMT_RUNTIME_DIR", Path.Combine(folder, "run"));
        Environment.SetEnvironmentVariable("KASLRMT_STATE_DIR", Path.Combine(folder, "state"));
        Process? running = null;
        try
        {
            string initrd = Initramfs.BuildTo(Path.Combine(folder, "initrd"), "sleep 100000");
            string key = Path.Combine(folder, "key");
            Stopwatches.Run(command, "key", "new", key);
            running = Start(agent);
            Await(() => Supervised(0));

            List<double> megabytes = [];
            for (int vm = 1; vm <= Vms; vm++)
            {
                Stopwatches.Run(command, "run", "--detach", "--name", $"vm{vm}", "--kernel", TestKernels.Image("6.1-cloud"), "--initrd", initrd, "--memory", "128M", "--tenant-key-file", key, "--accel", "tcg");
                megabytes.Add(Megabytes(running));
                Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{vm} VMs: {megabytes[^1]:0.0} MiB"));
            }

            yield return new Result($"the agent's memory (Pss), {Vms} VMs just started", megabytes[^1], megabytes[0], "1 VM", "MiB", 32, LimitIsRatio: false);
            TimeSpan before = Busy(running);
            var clock = Stopwatch.StartNew();
            Thread.Sleep(Rest);
            double share = (Busy(running) - before) / clock.Elapsed * 100;
            yield return new Result($"the agent at rest for 60 s, {Vms} VMs, % of one processor", share, double.NaN, "", "%", 0.5, LimitIsRatio: false);
            double rest = Megabytes(running);
            yield return new Result($"the agent's memory (Pss), {Vms} VMs, after a minute's rest", rest, double.NaN, "", "MiB", 32, LimitIsRatio: false);
            yield return new Result($"each further VM, {Vms / 2} to {Vms}", (megabytes[^1] - megabytes[(Vms / 2) - 1]) / (Vms / 2), double.NaN, "", "MiB", 0.3, LimitIsRatio: false);

            (double ps, double help) = Stopwatches.Alternate(Pairs, () => Stopwatches.Run(command, "ps"), () => Stopwatches.Run(command, "--help"));
            yield return new Result($"kaslrmt ps, {Vms} VMs, whole process", ps, help, "kaslrmt --help", "ms", 1.5, LimitIsRatio: true);
            if (Environment.GetEnvironmentVariable("KASLRMT_OLD_COMMAND") is { Length: > 0 } old)
            {
                (double now, double then) = Stopwatches.Alternate(Pairs, () => Stopwatches.Run(command, "--help"), () => Stopwatches.Run(old, "--help"));
                yield return new Result("kaslrmt --help, whole process", now, then, "KASLRMT_OLD_COMMAND", "ms", 0.35, LimitIsRatio: true);
            }

            running.Kill();
            running.WaitForExit();
            running.Dispose();
            long killed = Stopwatch.GetTimestamp();
            running = Start(agent);
            Await(() => Supervised(Vms));
            yield return new Result($"a new agent has all {Vms} VMs back, from its start", Stopwatch.GetElapsedTime(killed).TotalSeconds, double.NaN, "", "s", 2, LimitIsRatio: false);
            yield return new Result($"the new agent's memory (Pss), {Vms} VMs", Megabytes(running), double.NaN, "", "MiB", 32, LimitIsRatio: false);
        }
        finally
        {
            for (int vm = 1; vm <= Vms && running is { HasExited: false }; vm++)
            {
                using var stop = Process.Start(new ProcessStartInfo(command, ["stop", $"vm{vm}", "--grace", "0"]) { RedirectStandardError = true });
                stop!.WaitForExit();
            }

            running?.Kill();
            running?.Dispose();
            Directory.Delete(folder, recursive: true);
        }
    }

    private static Process Start(string agent) => Process.Start(agent);

    private static double Megabytes(Process process) => Sharing.ProcessMemory.PssOf(process.Id) / 1048576.0;

    private static TimeSpan Busy(Process process)
    {
        process.Refresh();
        return process.TotalProcessorTime;
    }

    // "ps" would start an agent for VMs that have none, so the agent itself is asked.
    private static bool Supervised(int vms)
    {
        string socket = Path.Combine(Environment.GetEnvironmentVariable("KASLRMT_RUNTIME_DIR")!, "agent.sock");
        if (!File.Exists(socket))
        {
            return false;
        }

        using var ask = Process.Start(new ProcessStartInfo("curl", ["--silent", "--unix-socket", socket, "http://agent/v1"]) { RedirectStandardOutput = true })!;
        string answer = ask.StandardOutput.ReadToEnd();
        ask.WaitForExit();
        return answer.Contains($"\"vms\":{vms}", StringComparison.Ordinal);
    }

    private static void Await(Func<bool> holds)
    {
        for (var clock = Stopwatch.StartNew(); !holds(); Thread.Sleep(10))
        {
            if (clock.Elapsed > TimeSpan.FromMinutes(1))
            {
                throw new InvalidOperationException("the agent does not answer");
            }
        }
    }
}

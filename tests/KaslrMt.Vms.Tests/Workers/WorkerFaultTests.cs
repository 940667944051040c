using System.Diagnostics;
using System.Globalization;

namespace KaslrMt.Vms.Tests.Workers;

/// <summary>A worker that a hostile image has taken over harms nobody, and what it did is said in one line.</summary>
public sealed class WorkerFaultTests
{
    private static readonly TimeSpan Short = TimeSpan.FromSeconds(3);

    [Fact]
    public async Task A_codec_that_crashes()
    {
        KaslrMtException error = await Probe.FailAsync("crash");
        Assert.Equal(VmErrors.WorkerCrashed, error.Code);
        Assert.Contains("killed by signal 11", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_codec_that_hangs()
    {
        long start = Stopwatch.GetTimestamp();
        KaslrMtException error = await Probe.FailAsync(Probe.Settings("hang") with { TimeLimit = Short });
        Assert.Equal(VmErrors.WorkerTime, error.Code);
        Assert.InRange(Stopwatch.GetElapsedTime(start), Short, TimeSpan.FromSeconds(30));
    }

    [Fact]
    public async Task Cancelling_ends_a_worker_that_hangs()
    {
        using var cancellation = new CancellationTokenSource(Short);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Probe.PrepareAsync(TestKernels.Image("6.12-cloud"), Probe.Settings("hang"), cancellation.Token));
    }

    [Theory]
    [InlineData("garbage", "does not begin with KMTPREP")]
    [InlineData("nothing", "it has 0 bytes")]
    [InlineData("lie", "without a known reason")]
    [InlineData("flood", "bytes of errors")]
    public async Task An_answer_that_is_none(string fault, string said)
    {
        KaslrMtException error = await Probe.FailAsync(fault);
        Assert.Equal(VmErrors.WorkerAnswer, error.Code);
        Assert.Contains(said, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(error.Message, char.IsControl);
    }

    [Fact]
    public async Task It_opens_no_file()
    {
        // EACCES: the file is readable for everybody.
        Assert.Contains("open gave -1 errno 13", (await Probe.FailAsync("open")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("socket")]
    [InlineData("execute")]
    [InlineData("thread")]
    [InlineData("code")]
    public async Task What_it_may_not_do_ends_it(string fault)
    {
        KaslrMtException error = await Probe.FailAsync(fault);
        Assert.Equal(VmErrors.WorkerCrashed, error.Code);
        Assert.Contains("killed by signal 31", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Its_memory_is_bounded()
    {
        KaslrMtException error = await Probe.FailAsync("memory");
        Assert.Equal(Kernels.KernelErrors.CodecOutOfMemory, error.Code);
    }

    [Fact]
    public async Task It_has_no_right_left()
    {
        using var cancellation = new CancellationTokenSource();
        Task worker = Probe.PrepareAsync(TestKernels.Image("6.12-cloud"), Probe.Settings("hang") with { User = 65533 }, cancellation.Token);
        string[] status = await ConfinedAsync(worker);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => worker);
        string user = Environment.IsPrivilegedProcess ? "65533" : Field(File.ReadAllLines("/proc/self/status"), "Uid").Split('\t')[0];
        Assert.Equal([user, user, user, user], Field(status, "Uid").Split('\t'));
        Assert.All((string[])["CapPrm", "CapEff", "CapAmb", "CapInh"], set => Assert.Equal("0000000000000000", Field(status, set)));
        Assert.Equal("1", Field(status, "NoNewPrivs"));
        if (Environment.IsPrivilegedProcess)
        {
            Assert.Equal("", Field(status, "Groups"));
            Assert.Equal("0000000000000000", Field(status, "CapBnd"));
        }
    }

    [Fact]
    public async Task A_program_that_is_not_there()
    {
        KaslrMtException error = await Probe.FailAsync(new KaslrMt.Vms.Workers.WorkerSettings("/nonexistent/kaslrmtd", ["worker"]));
        Assert.Equal(VmErrors.WorkerCrashed, error.Code);
    }

    /// <summary>What the kernel says of the worker, our one child with that argument, once its filter is on.</summary>
    private static async Task<string[]> ConfinedAsync(Task worker)
    {
        while (!worker.IsCompleted)
        {
            foreach (string process in Directory.GetDirectories("/proc").Where(path => char.IsAsciiDigit(Path.GetFileName(path)[0])))
            {
                try
                {
                    string[] status = File.ReadAllLines(Path.Combine(process, "status"));
                    if (Field(status, "PPid") == Environment.ProcessId.ToString(CultureInfo.InvariantCulture) && Field(status, "Seccomp") == "2"
                        && File.ReadAllText(Path.Combine(process, "cmdline")).EndsWith("\0hang\0", StringComparison.Ordinal))
                    {
                        return status;
                    }
                }
                catch (Exception error) when (error is IOException or UnauthorizedAccessException)
                {
                    // It has ended since.
                }
            }

            await Task.Delay(10);
        }

        await worker;
        throw new InvalidOperationException("the worker ended before its filter was seen");
    }

    private static string Field(string[] status, string name) =>
        status.FirstOrDefault(line => line.StartsWith(name + ":", StringComparison.Ordinal))?[(name.Length + 1)..].Trim() ?? "";
}

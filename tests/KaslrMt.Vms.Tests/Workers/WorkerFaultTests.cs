using System.Diagnostics;

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
    public async Task Started_by_root_it_is_nobody()
    {
        string said = (await Probe.FailAsync("rights")).Message;
        string expected = Environment.IsPrivilegedProcess ? "uid 65534 gid 65534 groups 0" : "uid ";
        Assert.Contains(expected, said, StringComparison.Ordinal);
        Assert.DoesNotContain("uid 0 ", said, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_program_that_is_not_there()
    {
        KaslrMtException error = await Probe.FailAsync(new KaslrMt.Vms.Workers.WorkerSettings("/nonexistent/kaslrmtd", ["worker"]));
        Assert.Equal(VmErrors.WorkerCrashed, error.Code);
    }
}

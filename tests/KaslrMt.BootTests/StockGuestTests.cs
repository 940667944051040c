using System.Text.Json;
using KaslrMt.BootTests.Running;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;

namespace KaslrMt.BootTests;

/// <summary>Guests that nobody prepared are opened and their kernels found, as they say themselves.</summary>
public sealed class StockGuestTests : IDisposable
{
    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("6.1-cloud", "max", "q35", true, "", 5)]
    [InlineData("6.12-cloud", "max", "pc", false, "", 5)]
    [InlineData("6.1-cloud", "qemu64", "pc", true, "pti=on", 4)]
    [InlineData("6.12-cloud", "max", "q35", true, "nokaslr no5lvl", 4)]
    public async Task The_kernel_of_anybodys_guest_is_found_with_and_without_monitor_and_image(
        string name, string processor, string machine, bool monitor, string append, int levels)
    {
        await using StockGuest guest = await StockGuest.StartAsync(
            _scratch, name, monitor, append, arguments: ["-machine", machine, "-cpu", processor, "-m", "512M", "-smp", "2"]);
        await using QemuGuest running = await guest.OpenAsync();
        Assert.Equal(monitor, running.Hints.TopTable is not null);
        Check(guest.View, GuestKernel.Find(running.Memory, running.Hints), levels);
        Check(guest.View, GuestKernel.Find(running.Memory), levels);

        using QemuMemory unasked = QemuMemory.Open(guest.ProcessId);
        Assert.Equal(512UL << 20, unasked.Ranges.Aggregate(0UL, (sum, range) => sum + range.Length));
        Check(guest.View, GuestKernel.Find(unasked), levels);

        Check(guest.View, GuestKernel.Find(unasked, new KernelHints(Image: Identity(name))), levels);
        string other = name == "6.1-cloud" ? "6.12-cloud" : "6.1-cloud";
        KaslrMtException wrong = Assert.Throws<KaslrMtException>(() => GuestKernel.Find(unasked, new KernelHints(Image: Identity(other))));
        Assert.Equal(GuestErrors.WrongImage, wrong.Code);
        Assert.Contains(GuestKernel.Find(unasked).Release, wrong.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Ram_of_several_shared_backends_is_found_by_process_monitor_and_file()
    {
        string file = _scratch.At("ram0");
        await using StockGuest guest = await StockGuest.StartAsync(
            _scratch, "6.12-cloud", monitor: true, append: "no5lvl", arguments:
            [
                "-machine", "q35", "-cpu", "max", "-m", "384M", "-object", $"memory-backend-file,id=m0,size=256M,mem-path={file},share=on",
                "-object", "memory-backend-memfd,id=m1,size=128M", "-numa", "node,memdev=m0", "-numa", "node,memdev=m1",
            ]);
        using QemuMemory process = QemuMemory.Open(guest.ProcessId);
        await using QemuGuest monitored = await guest.OpenAsync();
        Assert.Equal(384UL << 20, process.Ranges.Single().Length);
        Assert.Equal(new PhysicalAddress(384UL << 20), monitored.Memory.Ranges[^1].End);
        Check(guest.View, GuestKernel.Find(process), 4);
        Check(guest.View, GuestKernel.Find(monitored.Memory), 4);

        // Above the first block, where only the second can tell.
        var one = new byte[1 << 16];
        var other = new byte[1 << 16];
        process.Read(new(257 << 20), one);
        monitored.Memory.Read(new(257 << 20), other);
        Assert.Equal(one, other);

        using MemoryFile ram = RawMemoryFile.Open(file, QemuMachine.Q35.Place);

        // The firmware, which stays as it is.
        process.Read(new(0xf0000), one);
        ram.Read(new(0xf0000), other);
        Assert.Contains(one, value => value != 0);
        Assert.Equal(one, other);
    }

    [Fact]
    public async Task A_paused_guest_stands_still_and_goes_on_afterwards_even_when_the_command_is_ended()
    {
        // QEMU serves one client on each socket: the second shows what the first is used for.
        string second = _scratch.At("second.qmp");
        await using StockGuest guest = await StockGuest.StartAsync(
            _scratch, "6.1-cloud", monitor: true, arguments: ["-machine", "pc", "-m", "256M", "-qmp", $"unix:{second},server=on,wait=off"]);
        await using (QemuGuest paused = await QemuGuest.OpenAsync(guest.ProcessId, null, null))
        {
            Check(guest.View, GuestKernel.Find(paused.Memory, paused.Hints), 4);
        }

        Assert.True(await RunsAsync(guest));
        (int code, string output, string error) = await KaslrmtProcess.RunAsync(_scratch, "inspect", "--pid", $"{guest.ProcessId}", "--qmp", guest.MonitorSocket, "--pause", "--json");
        Assert.True(code == 0, error);
        Assert.Contains("6.1.", output, StringComparison.Ordinal);
        Assert.True(await RunsAsync(guest));

        await using QmpClient watch = await QmpClient.ConnectAsync(second, QmpClient.DefaultTimeout);
        using var ended = new KaslrmtProcess(_scratch, "inspect", "--pid", $"{guest.ProcessId}", "--pause");
        bool stood = false;
        while (!stood && !ended.HasExited)
        {
            stood = !(await watch.ExecuteAsync("query-status")).GetProperty("running").GetBoolean();
        }

        Assert.True(stood, "the guest was never paused");
        await ended.SignalAsync("TERM");
        (code, _, error) = await ended.EndAsync();
        Assert.True(code is 130 or 0, $"{code}: {error}");
        Assert.True((await watch.ExecuteAsync("query-status")).GetProperty("running").GetBoolean());
    }

    [Fact]
    public async Task A_guest_without_a_monitor_cannot_be_paused_and_one_that_exits_is_gone()
    {
        await using StockGuest guest = await StockGuest.StartAsync(_scratch, "6.1-cloud", monitor: false, arguments: ["-machine", "pc", "-m", "256M"]);
        (int code, _, string error) = await KaslrmtProcess.RunAsync(_scratch, "inspect", "--pid", $"{guest.ProcessId}", "--pause");
        Assert.Equal(4, code);
        Assert.Contains("KMT3006: the guest cannot be paused", error, StringComparison.Ordinal);

        using QemuMemory memory = QemuMemory.Open(guest.ProcessId);
        GuestKernel kernel = GuestKernel.Find(memory);
        Task reading = Task.Run(() => ReadForEver(kernel));
        guest.Kill();
        KaslrMtException gone = await Assert.ThrowsAsync<KaslrMtException>(() => reading.WaitAsync(TimeSpan.FromSeconds(60)));
        Assert.Equal(GuestErrors.GuestGone, gone.Code);
        Assert.Equal(GuestErrors.GuestGone, Assert.Throws<KaslrMtException>(() => GuestKernel.Find(memory)).Code);
    }

    private static void ReadForEver(GuestKernel kernel)
    {
        while (kernel.Tables.Leaves(new(0xffff800000000000), new(ulong.MaxValue)).Count() >= 0)
        {
            // Until the guest is gone.
        }
    }

    private static void Check(GuestView view, GuestKernel kernel, int levels)
    {
        Assert.Equal(levels, kernel.Tables.Levels);
        Assert.True(view.Text == kernel.VirtualBase.Value, "the text's address is not what the guest says");
        Assert.True(view.Code == kernel.PhysicalBase.Value, "the text's place is not what the guest says");
        Assert.True(view.Text == kernel.Symbol("_text")?.Value, "the symbols are not at their run-time addresses");
        Assert.Equal(kernel.Symbol("init_top_pgt")!.Value - kernel.VirtualBase, kernel.Tables.Root - kernel.PhysicalBase);
        Assert.True(kernel.TryReadWord(kernel.Symbol("vmalloc_base")!.Value, out ulong vmalloc) && vmalloc == view.Vmalloc, "variables cannot be read");
        Assert.StartsWith($"Linux version {kernel.Release} ", kernel.Banner, StringComparison.Ordinal);
    }

    private static KernelIdentity Identity(string kernel)
    {
        using KernelInspection inspection = KernelInspection.Of(TestKernels.Image(kernel));
        return KernelIdentity.Of(inspection);
    }

    private static async Task<bool> RunsAsync(StockGuest guest)
    {
        await using QmpClient monitor = await QmpClient.ConnectAsync(guest.MonitorSocket, QmpClient.DefaultTimeout);
        JsonElement status = await monitor.ExecuteAsync("query-status");
        return status.GetProperty("running").GetBoolean();
    }
}

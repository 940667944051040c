using System.Diagnostics;
using System.Text;

namespace KaslrMt.Hypervisors.Tests.Events;

/// <summary>The file of QEMU's events is hostile input: whatever it holds, reading it is bounded and tells a reason only where QEMU wrote one.</summary>
public sealed class EventFileTests : IDisposable
{
    private const string Noise = """{"timestamp": {"seconds": 1795954771, "microseconds": 161800}, "event": "STOP"}""" + "\r\n";

    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("guest-shutdown", ShutdownReason.GuestShutdown)]
    [InlineData("guest-reset", ShutdownReason.Reboot)]
    [InlineData("host-qmp-system-reset", ShutdownReason.Reboot)]
    [InlineData("guest-panic", ShutdownReason.GuestPanic)]
    [InlineData("host-qmp-quit", ShutdownReason.MonitorQuit)]
    [InlineData("host-signal", ShutdownReason.HostSignal)]
    [InlineData("what-will-be-invented", ShutdownReason.Unexplained)]
    public void The_first_reason_counts_and_has_its_time(string reason, ShutdownReason expected)
    {
        Write(Noise + Shutdown(reason) + Shutdown(expected == ShutdownReason.Unexplained ? "none-either" : "host-qmp-quit"));
        VmEnd end = QemuEventFile.ReadEnd(_scratch.Folder);
        Assert.Equal(expected, end.Reason);
        Assert.Equal(expected == ShutdownReason.Unexplained ? null : DateTimeOffset.FromUnixTimeSeconds(1795954774).AddMicroseconds(817911), end.Time);
    }

    [Theory]
    [InlineData("")]
    [InlineData("\n\n\n")]
    [InlineData("SHUTDOWN\n")]
    [InlineData("[\"SHUTDOWN\"]\n")]
    [InlineData("{\"event\": \"SHUTDOWN\"}\n")]
    [InlineData("{\"event\": \"SHUTDOWN\", \"data\": \"guest-shutdown\"}\n")]
    [InlineData("{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": 7}}\n")]
    [InlineData("{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"\\ud800\"}}\n")]
    [InlineData("{\"event\": [\"SHUTDOWN\"], \"data\": {\"reason\": \"guest-shutdown\"}}\n")]
    [InlineData("{\"return\": {\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"guest-shutdown\"}}}\n")]
    [InlineData("{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"guest-shutdown\"}} trailing\n")]
    public void What_is_not_an_event_of_QEMUs_tells_nothing(string text)
    {
        Write(text);
        Assert.Equal(VmEnd.Unexplained, QemuEventFile.ReadEnd(_scratch.Folder));
    }

    [Fact]
    public void A_time_that_makes_no_sense_is_left_out()
    {
        foreach (string time in new[] { "{\"seconds\": -1, \"microseconds\": 0}", "{\"seconds\": 9e99, \"microseconds\": 0}", "{\"seconds\": 1, \"microseconds\": 1000000}", "7", "{}" })
        {
            Write($$$"""{"timestamp": {{{time}}}, "event": "SHUTDOWN", "data": {"reason": "guest-panic"}}""" + "\n");
            Assert.Equal(new VmEnd(ShutdownReason.GuestPanic, null), QemuEventFile.ReadEnd(_scratch.Folder));
        }
    }

    [Fact]
    public void Cut_off_anywhere_a_reason_is_told_only_by_a_whole_line()
    {
        byte[] whole = Encoding.ASCII.GetBytes(Noise + Shutdown("guest-shutdown"));
        for (int length = 0; length < whole.Length; length++)
        {
            Assert.Equal(VmEnd.Unexplained, QemuEventFile.Parse(whole.AsSpan(0, length)));
        }

        Assert.Equal(ShutdownReason.GuestShutdown, QemuEventFile.Parse(whole).Reason);
    }

    [Fact]
    public void Damaged_bytes_never_throw()
    {
        byte[] whole = Encoding.ASCII.GetBytes(Noise + Shutdown("guest-shutdown") + Shutdown("host-signal"));
        Random random = new(20261129);
        for (int i = 0; i < 20_000; i++)
        {
            byte[] damaged = [.. whole];
            for (int hits = random.Next(1, 6); hits > 0; hits--)
            {
                damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            }

            Assert.Contains(
                QemuEventFile.Parse(damaged).Reason,
                new[] { ShutdownReason.GuestShutdown, ShutdownReason.HostSignal, ShutdownReason.Unexplained });
        }
    }

    [Fact]
    public void Of_ten_megabytes_the_tail_is_read_and_nothing_before_it()
    {
        string flood = string.Concat(Enumerable.Repeat(Noise, (10 << 20) / Noise.Length));
        Write(flood + Shutdown("guest-panic"));
        Assert.Equal(ShutdownReason.GuestPanic, QemuEventFile.ReadEnd(_scratch.Folder).Reason);
        Write(Shutdown("guest-panic") + flood);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Equal(ShutdownReason.Unexplained, QemuEventFile.ReadEnd(_scratch.Folder).Reason);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4 * QemuEventFile.Kept);
    }

    [Fact]
    public void A_trimmed_file_keeps_its_tail_and_QEMUs_offset()
    {
        Write(string.Concat(Enumerable.Repeat(Noise, 10_000)) + Shutdown("guest-shutdown"));
        string path = QemuEventFile.OutputPath(_scratch.Folder);
        long length = new FileInfo(path).Length;
        QemuEventFile.Trim(_scratch.Folder);
        Assert.Equal(length, new FileInfo(path).Length);
        byte[] now = File.ReadAllBytes(path);
        Assert.True(now[..(int)(length - QemuEventFile.Kept)].All(value => value == 0));
        Assert.Equal(ShutdownReason.GuestShutdown, QemuEventFile.ReadEnd(_scratch.Folder).Reason);
        File.AppendAllText(path, Shutdown("host-signal"));
        Assert.Equal(ShutdownReason.GuestShutdown, QemuEventFile.ReadEnd(_scratch.Folder).Reason);
    }

    [Fact]
    public async Task A_pipe_a_link_or_nothing_in_its_place_tells_nothing_and_hangs_nobody()
    {
        string path = QemuEventFile.OutputPath(_scratch.Folder);
        Assert.Equal(VmEnd.Unexplained, QemuEventFile.ReadEnd(_scratch.Folder));
        using (Process made = Process.Start("mkfifo", [path]))
        {
            await made.WaitForExitAsync();
        }

        Assert.Equal(VmEnd.Unexplained, await Task.Run(() => QemuEventFile.ReadEnd(_scratch.Folder)).WaitAsync(TestVm.BootLimit));
        File.Delete(path);
        File.WriteAllText(_scratch.At("elsewhere"), Shutdown("guest-shutdown"));
        File.CreateSymbolicLink(path, _scratch.At("elsewhere"));
        Assert.Equal(VmEnd.Unexplained, QemuEventFile.ReadEnd(_scratch.Folder));
        QemuEventFile.Create(_scratch.Folder);
        Assert.Null(new FileInfo(path).LinkTarget);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
        Assert.Contains("guest-shutdown", File.ReadAllText(_scratch.At("elsewhere")), StringComparison.Ordinal);
    }

    private static string Shutdown(string reason) =>
        $$$"""{"timestamp": {"seconds": 1795954774, "microseconds": 817911}, "event": "SHUTDOWN", "data": {"guest": true, "reason": "{{{reason}}}"}}""" + "\r\n";

    private void Write(string text) => File.WriteAllText(QemuEventFile.OutputPath(_scratch.Folder), text);
}

using System.Diagnostics;
using System.Globalization;
using System.Text;
using KaslrMt.BootTests.Running;
using KaslrMt.Layout;
using KaslrMt.Vms;

namespace KaslrMt.BootTests;

/// <summary>The command in a process of its own: what it leaves behind however it ends, and what it shows while it runs.</summary>
public sealed class OwnershipTests : IDisposable
{
    private const string Kernel = "6.12-cloud";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("INT")]
    [InlineData("TERM")]
    public async Task A_signal_ends_the_vm_and_leaves_nothing(string signal)
    {
        using KaslrmtProcess run = Run();
        int qemu = await BootedAsync(run);
        await run.SignalAsync(signal);
        (int code, _, string error) = await run.EndAsync();
        Assert.True(code == 130, error);
        Assert.False(Directory.Exists($"/proc/{qemu}"));
        Assert.Empty(_scratch.Leftovers);
    }

    [Fact]
    public async Task A_signal_that_comes_twice_at_once_is_one_request()
    {
        using KaslrmtProcess run = Run();
        await BootedAsync(run);
        await run.SignalAsync("TERM");
        await run.SignalAsync("TERM");
        (int code, _, string error) = await run.EndAsync();
        Assert.True(code == 130, error);
        Assert.Empty(_scratch.Leftovers);
    }

    [Fact]
    public async Task Kill_9_ends_QEMU_and_the_next_command_removes_the_rest()
    {
        using KaslrmtProcess run = Run();
        int qemu = await BootedAsync(run);
        await run.SignalAsync("KILL");
        await run.EndAsync();
        await EventuallyAsync(() => !IsRunning(qemu), "QEMU's end");
        Assert.NotEmpty(_scratch.Leftovers);
        (int code, string output, string error) = await KaslrmtProcess.RunAsync(_scratch, "ps");
        Assert.True(code == 0, error);
        Assert.Contains("no VM runs", output, StringComparison.Ordinal);
        Assert.Empty(_scratch.Leftovers);
    }

    [Theory]
    [InlineData("start-placed")]
    [InlineData("start-launched")]
    [InlineData("start-noted")]
    public async Task Kill_9_at_a_step_of_the_start_leaves_nothing_after_the_next_command(string point)
    {
        _scratch.CrashAt = point;
        using KaslrmtProcess run = Run();
        Assert.Equal(128 + 9, (await run.EndAsync()).ExitCode);
        _scratch.CrashAt = null;
        await EventuallyAsync(() => !QemusOf(_scratch.Runtime.Path).Any(), "QEMU's end");
        (int code, _, string error) = await KaslrmtProcess.RunAsync(_scratch, "ps");
        Assert.True(code == 0, error);
        Assert.Empty(_scratch.Leftovers);

        // What stays is the cache: whole entries, nothing half written.
        string cache = Path.Combine(_scratch.Runtime.Path, ".prepared");
        Assert.All(Directory.Exists(cache) ? Directory.GetFiles(cache) : [], file => Assert.True(Path.GetExtension(file) is ".body" or ".facts", file));
    }

    [Fact]
    public async Task While_it_runs_no_image_lies_on_disk_and_nothing_shows_key_seed_or_bases()
    {
        using KaslrmtProcess run = Run();
        int qemu = await BootedAsync(run);
        string folder = Path.Combine(_scratch.Runtime.Path, "vm");
        IntendedLayout intended = IntendedLayout.ReadFrom(folder)!;
        Assert.Equal(0xffffffff81000000u, intended.Kernel.LinkBase);
        string[] files = [.. Directory.GetFiles(folder).Select(file => Path.GetFileName(file)).Order(StringComparer.Ordinal)];
        Assert.Equal(["events.in", "events.out", "layout", "lock", "owner.sock", "qemu.pid", "qmp.sock", "state.json"], files);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(folder));
        Assert.All(
            (string[])["layout", "events.in", "events.out"],
            file => Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(folder, file))));
        string verified = await VerifiedAsync(run);

        Dictionary<string, string> shown = new()
        {
            ["state.json"] = File.ReadAllText(Path.Combine(folder, "state.json")),
            ["qemu.pid"] = File.ReadAllText(Path.Combine(folder, "qemu.pid")),
            ["QEMU's arguments"] = File.ReadAllText($"/proc/{qemu}/cmdline"),
            ["QEMU's environment"] = File.ReadAllText($"/proc/{qemu}/environ"),
            ["QEMU's open files"] = string.Join(' ', Directory.GetFileSystemEntries($"/proc/{qemu}/fd").Select(file => new FileInfo(file).LinkTarget)),
            ["QEMU's mappings"] = string.Join('\n', File.ReadLines($"/proc/{qemu}/maps").Select(line => line.Split(' ')[^1])),
            ["QEMU's events"] = File.ReadAllText(Path.Combine(folder, "events.in")) + File.ReadAllText(Path.Combine(folder, "events.out")),
            ["the log"] = verified,
        };
        string[] secrets =
        [
            TestSecrets.Key("owned"),
            TestSecrets.Seed("owned"),
            .. intended.Regions.Select(region => region.Base.ToString("x", CultureInfo.InvariantCulture)),
            .. intended.Regions.Select(region => region.Base.ToString(CultureInfo.InvariantCulture)),
        ];
        foreach ((string place, string text) in shown)
        {
            Assert.All(secrets, secret => Assert.False(text.Contains(secret, StringComparison.OrdinalIgnoreCase), $"{place} shows a secret"));
        }

        // The same look must find what is there.
        Assert.Contains("guest=vm", shown["QEMU's arguments"], StringComparison.Ordinal);
        Assert.Contains("PATH=", shown["QEMU's environment"], StringComparison.Ordinal);
        Assert.DoesNotContain("KASLRMT_", shown["QEMU's environment"], StringComparison.Ordinal);
        Assert.Contains(Kernel, shown["state.json"], StringComparison.Ordinal);
        Assert.DoesNotContain(Path.Combine(folder, "image"), shown["QEMU's open files"] + shown["QEMU's mappings"], StringComparison.Ordinal);
        await run.SignalAsync("TERM");
        await run.EndAsync();
    }

    [Fact]
    public async Task A_guest_that_never_powers_off_is_waited_for_as_long_as_was_said_and_ended_at_once_where_nothing_was_granted()
    {
        using (KaslrmtProcess patient = Run("--grace", "86400"))
        {
            int qemu = await BootedAsync(patient);
            await patient.SignalAsync("TERM");
            await EventuallyAsync(() => patient.Error.Contains("vm: stopping", StringComparison.Ordinal), "the owner's asking the guest");
            Assert.True(IsRunning(qemu));

            // QEMU's end is the VM's: the owner, who would wait for a day, takes it as such.
            using Process kill = Process.Start("kill", ["-KILL", $"{qemu}"]);
            await kill.WaitForExitAsync();
            Assert.Equal(130, (await patient.EndAsync()).ExitCode);
        }

        // What the first guest said is not the second's.
        File.Delete(_scratch.At("console"));
        using KaslrmtProcess hasty = Run("--grace", "0");
        int ended = await BootedAsync(hasty);
        await hasty.SignalAsync("TERM");
        (int code, _, string error) = await hasty.EndAsync();
        Assert.True(code == 130, error);
        Assert.False(IsRunning(ended));
        Assert.Empty(_scratch.Leftovers);
    }

    private KaslrmtProcess Run(params string[] further)
    {
        string keyFile = _scratch.At("key");
        File.WriteAllText(keyFile, TestSecrets.Key("owned") + "\n", Encoding.ASCII);
        File.SetUnixFileMode(keyFile, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        string initrd = GuestInit.WriteTo(_scratch.At("initrd"), Kernel, "sleep 100000");
        return new KaslrmtProcess(
            _scratch, ["run", "--name", "vm", "--tenant", "owned", "--kernel", TestKernels.Image(Kernel), "--initrd", initrd, "--accel", "tcg", "--append",
            "console=ttyS0 quiet no_timer_check", "--console", _scratch.At("console"), "--tenant-key-file", keyFile, "--vm-seed", TestSecrets.Seed("owned"), "-M", "microvm", .. further]);
    }

    private async Task<int> BootedAsync(KaslrmtProcess run)
    {
        await EventuallyAsync(
            () => run.HasExited || (File.Exists(_scratch.At("console")) && File.ReadAllText(_scratch.At("console")).Contains(GuestInit.End, StringComparison.Ordinal)),
            "the guest's view");
        if (run.HasExited)
        {
            Assert.Fail((await run.EndAsync()).Error);
        }

        return _scratch.Runtime.List().Single().State!.ProcessId!.Value;
    }

    // A verification by another command; the owner's own word goes to its log.
    private async Task<string> VerifiedAsync(KaslrmtProcess run)
    {
        (int code, string output, string error) = await KaslrmtProcess.RunAsync(_scratch, "verify", "vm");
        Assert.True(code == 0, error);
        Assert.Contains("the guest's memory holds the layout it was given", output, StringComparison.Ordinal);
        (int shown, string state, string problem) = await KaslrmtProcess.RunAsync(_scratch, "ps");
        Assert.True(shown == 0, problem);
        Assert.False(run.HasExited);
        return state + error + problem;
    }

    private static IEnumerable<string> QemusOf(string folder) => Directory.GetDirectories("/proc").Where(process => IsQemuOf(process, folder));

    private static bool IsQemuOf(string process, string folder)
    {
        try
        {
            return int.TryParse(Path.GetFileName(process), out _)
                && File.ReadAllText(Path.Combine(process, "cmdline")) is string line
                && line.Contains("qemu", StringComparison.Ordinal)
                && line.Contains($"-pidfile\0{folder}", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            // It ended while we looked.
            return false;
        }
    }

    // A process that nobody has waited for yet has ended all the same.
    private static bool IsRunning(int process)
    {
        try
        {
            string stat = File.ReadAllText($"/proc/{process}/stat");
            return stat[stat.LastIndexOf(')') + 2] is not ('Z' or 'X');
        }
        catch (IOException)
        {
            return false;
        }
    }

    private static async Task EventuallyAsync(Func<bool> condition, string what)
    {
        long start = Environment.TickCount64;
        while (!condition())
        {
            Assert.True(Environment.TickCount64 - start < Patience.TotalMilliseconds, $"not within {Patience.TotalSeconds} s: {what}");
            await Task.Delay(20);
        }
    }
}

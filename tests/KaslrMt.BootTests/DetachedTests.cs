using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using KaslrMt.BootTests.Running;
using KaslrMt.Cli.Vms.Detached;
using KaslrMt.Layout;
using KaslrMt.Vms;

namespace KaslrMt.BootTests;

/// <summary><c>run --detach</c>: the VM outlives the command and its supervisor, and nothing outlives the VM.</summary>
public sealed class DetachedTests : IDisposable
{
    private const string Kernel = "6.12-cloud";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly HostFolder _scratch = new();

    public void Dispose()
    {
        // A test that failed midway must leave no VM behind.
        foreach (RunningVm vm in _scratch.Runtime.List())
        {
            Kill(vm.State?.OwnerProcess);
            Kill(vm.State?.QemuProcess);
        }

        _scratch.Dispose();
    }

    [Fact]
    public async Task A_detached_vm_survives_its_supervisor_and_reboots_without_the_key_to_the_tenants_bases()
    {
        (int code, string output, string error) = await RunAsync();
        Assert.True(code == 0, error);
        Assert.Equal("vm\n", output);
        Assert.Contains("layout verified", error, StringComparison.Ordinal);
        VmState first = State();
        AssertHoldsNoKey(first);
        Assert.Contains("detached", await PsAsync(), StringComparison.Ordinal);
        (int again, _, string twice) = await RunAsync();
        Assert.True(again == 4 && twice.Contains("KMT3011", StringComparison.Ordinal), twice);
        Dictionary<Region, ulong> before = Bases();

        // Killed: whatever command comes next finds the same QEMU and gives it a new supervisor; of several at once, one.
        Kill(first.OwnerProcess);
        await EventuallyAsync(() => !State().OwnerLives, "the supervisor's end");
        string[] seen = await Task.WhenAll(PsAsync(), PsAsync(), PsAsync());
        Assert.All(seen, table => Assert.Contains("running", table, StringComparison.Ordinal));
        VmState second = State();
        Assert.True(second.OwnerLives);
        Assert.Equal(first.QemuProcess, second.QemuProcess);
        Assert.Single(Supervisors());

        // The key is nowhere any more; the guest reboots.
        File.Delete(_scratch.At("key"));
        await MonitorAsync("system_reset");
        await EventuallyAsync(() => State() is { Reboots: 1, QemuProcess: not null }, "the reboot");
        (int verified, _, string problem) = await KaslrmtProcess.RunAsync(_scratch, "verify", "vm");
        Assert.True(verified == 0, problem);
        Dictionary<Region, ulong> after = Bases();
        Assert.All(new[] { Region.KernelVirtual, Region.Vmemmap, Region.Modules }, region => Assert.Equal(before[region], after[region]));
        Assert.All(new[] { Region.Physmap, Region.Vmalloc }, region => Assert.NotEqual(before[region], after[region]));

        // And once more: what the adopter wrote serves the next one.
        Kill(second.OwnerProcess);
        await EventuallyAsync(() => !State().OwnerLives, "the second supervisor's end");
        (int shown, string facts, string trouble) = await KaslrmtProcess.RunAsync(_scratch, "show", "vm");
        Assert.True(shown == 0, trouble);
        Assert.Contains(Path.Combine(_scratch.Runtime.Path, "vm", "log"), facts, StringComparison.Ordinal);
        Assert.True(State().OwnerLives);
        (int stopped, _, string words) = await KaslrmtProcess.RunAsync(_scratch, "stop", "vm", "--grace", "0");
        Assert.True(stopped == 0, words);
        await NothingIsLeftAsync();
    }

    [Fact]
    public async Task Kill_9_of_QEMU_of_both_and_SIGTERM_to_the_supervisor_leave_nothing()
    {
        await StartedAsync();
        Kill(State().QemuProcess);
        await NothingIsLeftAsync();

        await StartedAsync();
        VmState both = State();
        Kill(both.OwnerProcess);
        Kill(both.QemuProcess);
        await EventuallyAsync(() => !both.OwnerLives, "the supervisor's end");
        Assert.Contains("no VM runs", await PsAsync(), StringComparison.Ordinal);
        await NothingIsLeftAsync();

        await StartedAsync();
        using (Process kill = Process.Start("kill", ["-TERM", State().OwnerProcess.ToString(CultureInfo.InvariantCulture)]))
        {
            await kill.WaitForExitAsync();
        }

        await NothingIsLeftAsync();
    }

    [Fact]
    public async Task A_supervisor_killed_between_two_boots_is_replaced_by_one_that_boots_the_guest()
    {
        await StartedAsync();
        Dictionary<Region, ulong> before = Bases();
        VmState state = State();
        Kill(state.OwnerProcess);
        Kill(state.QemuProcess);
        await EventuallyAsync(() => !state.OwnerLives && !Processes("qemu").Any(), "the end of both");

        // What such a supervisor leaves: it noted the reboot, and no QEMU yet.
        string file = Path.Combine(_scratch.Runtime.Path, "vm", "state.json");
        JsonObject left = JsonNode.Parse(File.ReadAllText(file))!.AsObject();
        left.Remove("qemuProcess");
        left.Remove("qemuStartTime");
        left["reboots"] = 1;
        File.WriteAllText(file, left.ToJsonString());

        Assert.DoesNotContain("unsupervised", await PsAsync(), StringComparison.Ordinal);
        await EventuallyAsync(() => State().QemuProcess is not null, "the boot");
        (int verified, _, string problem) = await KaslrmtProcess.RunAsync(_scratch, "verify", "vm");
        Assert.True(verified == 0, problem);
        Assert.Equal(before[Region.Vmemmap], Bases()[Region.Vmemmap]);
        Assert.NotEqual(before[Region.Physmap], Bases()[Region.Physmap]);
        Assert.Equal(0, (await KaslrmtProcess.RunAsync(_scratch, "stop", "vm", "--grace", "0")).ExitCode);
        await NothingIsLeftAsync();
    }

    [Theory]
    [InlineData(30)]
    [InlineData(100)]
    [InlineData(180)]
    [InlineData(260)]
    [InlineData(360)]
    public async Task A_supervisor_killed_at_any_moment_of_the_start_leaves_nothing_or_a_vm_that_is_adopted(int milliseconds)
    {
        Task<(int ExitCode, string Output, string Error)> run = RunAsync();
        await EventuallyAsync(() => run.IsCompleted || Supervisors().Any(), "a supervisor");
        await Task.Delay(milliseconds);
        foreach (int supervisor in Supervisors())
        {
            Kill(supervisor);
        }

        (int code, _, string error) = await run;
        Assert.True(code == 0 || error.Contains("KMT9013", StringComparison.Ordinal), error);
        await EventuallyAsync(() => !Supervisors().Any(), "the supervisor's end");
        if ((await PsAsync()).Contains("running", StringComparison.Ordinal))
        {
            Assert.True(State().OwnerLives);
            Assert.Equal(0, (await KaslrmtProcess.RunAsync(_scratch, "stop", "vm", "--grace", "0")).ExitCode);
        }

        await NothingIsLeftAsync();
    }

    [Fact]
    public async Task What_keeps_a_vm_from_starting_is_told_as_in_the_foreground()
    {
        (int code, string output, string error) = await RunAsync("--", "-device", "no-such-device");
        Assert.True(code == 4, error);
        Assert.Contains("KMT3002", error, StringComparison.Ordinal);
        Assert.Empty(output);
        await NothingIsLeftAsync();

        (code, _, error) = await RunAsync("--console", "stdio");
        Assert.True(code == 2, error);
        await NothingIsLeftAsync();
    }

    [Fact]
    public async Task Ctrl_C_while_it_starts_ends_the_vm()
    {
        using KaslrmtProcess run = new(_scratch, Words());
        await EventuallyAsync(() => run.HasExited || Supervisors().Any(), "a supervisor");
        await run.SignalAsync("INT");
        (int code, string output, string error) = await run.EndAsync();
        Assert.True(code == 130, error);
        Assert.DoesNotContain("internal error", error, StringComparison.Ordinal);
        Assert.Empty(output);
        await NothingIsLeftAsync();
    }

    [Fact]
    public void After_a_kernel_update_an_adopted_vm_takes_the_key_from_its_file_if_it_still_is_the_same_key()
    {
        KernelGeometry old = KernelGeometry.Usual(53_243_444), updated = KernelGeometry.Usual(57_575_404);
        GuestPlan plan = new() { Tenant = "updated", Seed = TestSecrets.Seed("updated") };
        using KaslrMt.Cli.Options.LayoutRequest withKey = plan.Request(0);
        using KernelLayout first = withKey.Plan(old), expected = withKey.Plan(updated);

        using (KaslrMt.Cli.Options.LayoutRequest same = SamplePlan().ToRequest(null, null, DerivedSlots.Of(first)))
        using (KernelLayout again = same.Plan(old))
        {
            Assert.Equal(first.KernelVirtual, again.KernelVirtual);
            Assert.Equal(1113, Assert.Throws<KaslrMtException>(() => same.Plan(updated)).Code.Number);
        }

        string keyFile = _scratch.At("key");
        File.WriteAllText(keyFile, TestSecrets.Key("updated"));
        File.SetUnixFileMode(keyFile, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        using KaslrMt.Cli.Options.LayoutRequest request = (SamplePlan() with { KeyFile = keyFile }).ToRequest(null, null, DerivedSlots.Of(first));
        using (KernelLayout found = request.Plan(updated))
        {
            Assert.Equal((expected.KernelVirtual, expected.Vmemmap, expected.Modules), (found.KernelVirtual, found.Vmemmap, found.Modules));
        }

        File.WriteAllText(keyFile, TestSecrets.Key("another"));
        KaslrMtException refused = Assert.Throws<KaslrMtException>(() => request.Plan(updated));
        Assert.Equal(9002, refused.Code.Number);
        Assert.DoesNotContain(TestSecrets.Key("another"), refused.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_stop_while_QEMU_starts_is_an_end_in_order()
    {
        using KaslrMt.Cli.Options.LayoutRequest request = new GuestPlan { Seed = TestSecrets.Seed("stopped") }.Request(0);
        RunOptions options = new()
        {
            Name = "vm",
            Kernel = TestKernels.Image(Kernel),
            Accelerator = AcceleratorChoice.Decide(Accelerator.Tcg),
            Runtime = _scratch.Runtime,
            UseCache = false,
        };
        VmExit exit = await new VmOwner(request, options, TextWriter.Null).RunAsync(new CancellationToken(canceled: true));
        Assert.Equal(ShutdownReason.HostSignal, exit.Reason);
        await NothingIsLeftAsync();
    }

    [Fact]
    public void An_order_arrives_as_it_was_sent_and_anything_else_is_refused()
    {
        using MemoryStream pipe = new();
        DetachedPlan plan = SamplePlan();
        using TenantKey key = TenantKey.Parse(TestSecrets.Key("order"));
        using (LayoutPair pair = new(plan, key, TestSecrets.Seed("order")))
        {
            SupervisorOrder.Send(pipe, plan, pair.Request);
        }

        pipe.Position = 0;
        (DetachedPlan taken, TenantKey? itsKey, VmSeed? itsSeed) = SupervisorOrder.Take(pipe);
        Assert.Equal(plan.ToBytes(), taken.ToBytes());
        Assert.Equal(TestSecrets.Key("order"), Encoding.ASCII.GetString(itsKey!.Reveal()));
        Assert.Equal(TestSecrets.Seed("order"), Convert.ToHexStringLower(itsSeed!.Reveal()));
        Assert.DoesNotContain(TestSecrets.Key("order"), Encoding.UTF8.GetString(plan.ToBytes()), StringComparison.Ordinal);

        byte[] sent = pipe.ToArray();
        foreach (byte[] bad in new[] { [], sent[..3], sent[..^1], [0xff, 0xff, 0xff, 0x7f], [0xff, 0xff, 0xff, 0xff], [2, 0, 0, 0, (byte)'{', (byte)'}', 0, 0, 0, 0, 0, 0, 0, 0] })
        {
            Assert.Equal(9013, Assert.Throws<KaslrMtException>(() => SupervisorOrder.Take(new MemoryStream(bad))).Code.Number);
        }
    }

    [Fact]
    public void A_supervisors_log_is_private_and_bounded_however_often_the_guest_reboots()
    {
        using MemoryStream starter = new();
        using SupervisorLog log = new(_scratch.Folder, new SupervisorReport(starter));
        for (int i = 0; i < 4 * SupervisorLog.LargestFile / 100; i++)
        {
            log.WriteLine(new string('x', 100));
        }

        string[] files = Directory.GetFiles(_scratch.Folder, "log*");
        Assert.Equal(2, files.Length);
        Assert.All(files, file => Assert.InRange(new FileInfo(file).Length, 1, SupervisorLog.LargestFile));
        Assert.All(files, file => Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file)));
    }

    private static DetachedPlan SamplePlan() => new()
    {
        Name = "vm",
        Kernel = "/vmlinuz",
        CommandLine = "console=ttyS0",
        Memory = 512 << 20,
        Machine = "q35",
        Policy = "110010",
        Producer = "hkdf",
        Cpus = 2,
        Accelerator = Accelerator.Tcg,
        AcceleratorReason = "asked for",
        Console = DetachedPlan.SocketConsole,
        QemuArguments = ["-device", "virtio-rng-pci"],
        QemuProgram = "qemu-system-x86_64",
        FallBackToStock = false,
        Verify = true,
        UseCache = true,
        WorkingDirectory = "/",
    };

    private string[] Words()
    {
        string keyFile = _scratch.At("key");
        File.WriteAllText(keyFile, TestSecrets.Key("detached") + "\n", Encoding.ASCII);
        File.SetUnixFileMode(keyFile, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return
        [
            "run", "--detach", "--name", "vm", "--tenant", "t", "--kernel", TestKernels.Image(Kernel), "--accel", "tcg", "-m", "256M",
            "--append", "console=ttyS0 quiet no_timer_check panic=0", "--tenant-key-file", keyFile, "-M", "microvm",
        ];
    }

    private Task<(int ExitCode, string Output, string Error)> RunAsync(params string[] further) => KaslrmtProcess.RunAsync(_scratch, [.. Words(), .. further]);

    private async Task StartedAsync()
    {
        (int code, _, string error) = await RunAsync();
        Assert.True(code == 0, error);
    }

    private async Task<string> PsAsync()
    {
        (int code, string output, string error) = await KaslrmtProcess.RunAsync(_scratch, "ps");
        Assert.True(code == 0, error);
        return output;
    }

    private VmState State() => _scratch.Runtime.List().Single().State!;

    private Dictionary<Region, ulong> Bases() =>
        IntendedLayout.ReadFrom(Path.Combine(_scratch.Runtime.Path, "vm"))!.Regions.ToDictionary(row => row.Region, row => row.Base);

    private async Task MonitorAsync(string command)
    {
        await using QmpClient monitor = await QmpClient.ConnectAsync(Path.Combine(_scratch.Runtime.Path, "vm", "qmp.sock"), Patience);
        await monitor.ExecuteAsync(command);
    }

    private void AssertHoldsNoKey(VmState state)
    {
        string key = TestSecrets.Key("detached"), folder = Path.Combine(_scratch.Runtime.Path, "vm");
        string[] processes = [.. new[] { state.OwnerProcess, state.QemuProcess!.Value }
            .SelectMany(process => new[] { $"/proc/{process}/cmdline", $"/proc/{process}/environ" })];

        // The lock is empty, and .NET takes part in locking.
        string[] files = [.. Directory.GetFiles(folder).Where(file => !file.EndsWith(".sock", StringComparison.Ordinal) && new FileInfo(file).Length > 0)];
        Assert.Contains(Path.Combine(folder, "plan"), files);
        Assert.All(files, file => Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file)));
        Assert.All([.. processes, .. files], file => Assert.DoesNotContain(key, Encoding.Latin1.GetString(File.ReadAllBytes(file)), StringComparison.Ordinal));
    }

    private async Task NothingIsLeftAsync()
    {
        await EventuallyAsync(() => !Supervisors().Any(), "the supervisor's end");
        await PsAsync();
        Assert.Empty(_scratch.Leftovers);
        Assert.Empty(Processes("qemu"));
    }

    // Those of this test alone: its runtime directory stands in their environment, and QEMU's also in its arguments.
    private IEnumerable<int> Supervisors() => Processes("supervise");

    private IEnumerable<int> Processes(string word)
    {
        foreach (string process in Directory.GetDirectories("/proc"))
        {
            bool ours;
            try
            {
                ours = int.TryParse(Path.GetFileName(process), out _)
                    && File.ReadAllText(Path.Combine(process, "cmdline")).Contains(word, StringComparison.Ordinal)
                    && File.ReadAllText(Path.Combine(process, "environ")).Contains($"KASLRMT_RUNTIME_DIR={_scratch.Runtime.Path}\0", StringComparison.Ordinal);
            }
            catch (IOException)
            {
                // It ended while we looked.
                continue;
            }
            catch (UnauthorizedAccessException)
            {
                continue;
            }

            if (ours)
            {
                yield return int.Parse(Path.GetFileName(process), CultureInfo.InvariantCulture);
            }
        }
    }

    private static void Kill(int? process)
    {
        try
        {
            if (process is int id)
            {
                using Process target = Process.GetProcessById(id);
                target.Kill();
            }
        }
        catch (ArgumentException)
        {
            // It has ended.
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

    private sealed class LayoutPair : IDisposable
    {
        internal LayoutPair(DetachedPlan plan, TenantKey key, string seed) =>
            Request = plan.ToRequest(TenantKey.Parse(key.Reveal()), VmSeed.FromHex(seed), earlier: null);

        internal KaslrMt.Cli.Options.LayoutRequest Request { get; }

        public void Dispose() => Request.Dispose();
    }
}

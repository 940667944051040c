using System.Text;
using System.Text.Json.Nodes;
using KaslrMt.BootTests.Running;
using KaslrMt.Hypervisors;
using KaslrMt.Layout;
using KaslrMt.Vms;

namespace KaslrMt.BootTests;

/// <summary><c>run --detach</c>: the VM outlives the command and its agent, and nothing outlives the VM.</summary>
public sealed class DetachedTests : IDisposable
{
    private readonly DetachedHost _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task A_detached_vm_survives_its_agent_and_reboots_without_the_key_to_the_tenants_bases()
    {
        (int code, string output, string error) = await _host.TryAsync(_host.Run("vm"));
        Assert.True(code == 0, error);
        Assert.Equal("vm\n", output);
        Assert.Contains("layout verified", error, StringComparison.Ordinal);
        VmState first = _host.State();
        AssertHoldsNoKey(first);
        Assert.Contains("detached", await _host.PsAsync(), StringComparison.Ordinal);
        (int again, _, string twice) = await _host.TryAsync(_host.Run("vm"));
        Assert.True(again == 4 && twice.Contains("KMT3011", StringComparison.Ordinal), twice);
        Dictionary<Region, ulong> before = _host.Bases();

        // Killed: whatever command comes next finds the same QEMU and gives it a new agent; of several at once, one.
        await HostProcesses.KillAgentAsync(_host.Folder);
        string[] seen = await Task.WhenAll(_host.PsAsync(), _host.PsAsync(), _host.PsAsync());
        Assert.All(seen, table => Assert.Contains("running", table, StringComparison.Ordinal));
        VmState second = _host.State();
        Assert.True(second.OwnerLives);
        Assert.Equal(first.ProcessId, second.ProcessId);
        await HostProcesses.EventuallyAsync(() => HostProcesses.Agents(_host.Folder).Count == 1, "the end of agents that came too late");
        Assert.Equal([second.OwnerProcess], HostProcesses.Agents(_host.Folder));

        // The key is nowhere any more; the guest reboots.
        File.Delete(_host.KeyFile);
        await _host.ResetAsync();
        await HostProcesses.EventuallyAsync(() => _host.State() is { Reboots: 1, ProcessId: not null }, "the reboot");
        await _host.DoAsync("verify", "vm");
        Dictionary<Region, ulong> after = _host.Bases();
        Assert.All(new[] { Region.KernelVirtual, Region.Vmemmap, Region.Modules }, region => Assert.Equal(before[region], after[region]));
        Assert.All(new[] { Region.Physmap, Region.Vmalloc }, region => Assert.NotEqual(before[region], after[region]));

        // And once more: what the adopter wrote serves the next one.
        await HostProcesses.KillAgentAsync(_host.Folder);
        Assert.Contains(Path.Combine(_host.PathOf("vm"), "log"), await _host.DoAsync("show", "vm"), StringComparison.Ordinal);
        Assert.True(_host.State().OwnerLives);
        await _host.StopAsync();
        await _host.NothingIsLeftAsync();
    }

    [Fact]
    public async Task Kill_9_of_QEMU_and_of_both_leave_nothing()
    {
        await _host.DoAsync(_host.Run("vm"));
        HostProcesses.Kill(_host.State().ProcessId);
        await _host.NothingIsLeftAsync();

        await _host.DoAsync(_host.Run("vm"));
        VmState both = _host.State();
        HostProcesses.Kill(both.OwnerProcess);
        HostProcesses.Kill(both.ProcessId);
        await HostProcesses.EventuallyAsync(() => !both.OwnerLives && HostProcesses.Qemus(_host.Folder).Count == 0, "the end of both");
        (_, string listed, string told) = await _host.TryAsync("ps");
        Assert.Contains("no VM runs", listed, StringComparison.Ordinal);
        Assert.Contains("vm ended while no agent supervised it (Unexplained)", told, StringComparison.Ordinal);
        await _host.NothingIsLeftAsync();
    }

    [Fact]
    public async Task An_agent_that_is_told_to_end_ends_and_its_vm_runs_on()
    {
        await _host.DoAsync(_host.Run("vm"));
        VmState before = _host.State();
        await HostProcesses.SignalAsync(before.OwnerProcess, "TERM");
        await HostProcesses.EventuallyAsync(() => HostProcesses.Agents(_host.Folder).Count == 0, "the agent's end");
        Assert.Equal([before.ProcessId!.Value], HostProcesses.Qemus(_host.Folder));
        Assert.Contains("running", await _host.PsAsync(), StringComparison.Ordinal);
        VmState after = _host.State();
        Assert.True(after.OwnerLives);
        Assert.Equal(before.ProcessId, after.ProcessId);
        await _host.DoAsync("verify", "vm");
        await _host.StopAsync();
        await _host.NothingIsLeftAsync();
    }

    [Fact]
    public async Task An_agent_killed_between_two_boots_is_replaced_by_one_that_boots_the_guest()
    {
        await _host.DoAsync(_host.Run("vm"));
        Dictionary<Region, ulong> before = _host.Bases();
        VmState state = _host.State();
        HostProcesses.Kill(state.OwnerProcess);
        HostProcesses.Kill(state.ProcessId);
        await HostProcesses.EventuallyAsync(() => !state.OwnerLives && HostProcesses.Qemus(_host.Folder).Count == 0, "the end of both");

        // What such an agent leaves: it noted the reboot, and no QEMU yet.
        string file = Path.Combine(_host.PathOf("vm"), "state.json");
        JsonObject left = JsonNode.Parse(File.ReadAllText(file))!.AsObject();
        Assert.True(left.Remove("qemuProcess") && left.Remove("qemuStartTime"));
        left["reboots"] = 1;
        File.WriteAllText(file, left.ToJsonString());

        Assert.DoesNotContain("unsupervised", await _host.PsAsync(), StringComparison.Ordinal);
        await HostProcesses.EventuallyAsync(() => _host.State().ProcessId is not null, "the boot");
        await _host.DoAsync("verify", "vm");
        Assert.Equal(before[Region.Vmemmap], _host.Bases()[Region.Vmemmap]);
        Assert.NotEqual(before[Region.Physmap], _host.Bases()[Region.Physmap]);
        await _host.StopAsync();
        await _host.NothingIsLeftAsync();
    }

    // Moments that the VM's folder shows, and some time after the first of them.
    [Theory]
    [InlineData("no agent yet", 0)]
    [InlineData("claimed", 0)]
    [InlineData("specified", 0)]
    [InlineData("placed", 0)]
    [InlineData("started", 0)]
    [InlineData("noted", 0)]
    [InlineData("claimed", 100)]
    [InlineData("claimed", 300)]
    public async Task An_agent_killed_at_any_moment_of_the_start_leaves_nothing_or_a_vm_that_is_adopted(string moment, int milliseconds)
    {
        string folder = _host.PathOf("vm");
        Func<bool> reached = moment switch
        {
            "no agent yet" => () => HostProcesses.Agents(_host.Folder).Count > 0,
            "claimed" => () => Directory.Exists(folder),
            "specified" => () => File.Exists(Path.Combine(folder, "plan")),
            "placed" => () => File.Exists(Path.Combine(folder, "layout")),
            "started" => () => File.Exists(Path.Combine(folder, "qemu.pid")),
            _ => () => _host.Folder.Runtime.List() is [{ State.ProcessId: not null }],
        };
        Task<(int ExitCode, string Output, string Error)> run = _host.TryAsync(_host.Run("vm"));
        await HostProcesses.EventuallyAsync(() => run.IsCompleted || reached(), moment);
        await Task.Delay(milliseconds);
        await HostProcesses.KillAgentAsync(_host.Folder);
        (int code, _, string error) = await run;
        Assert.True(code == 0 || error.Contains("KMT9024", StringComparison.Ordinal), error);
        if ((await _host.PsAsync()).Contains("running", StringComparison.Ordinal))
        {
            Assert.True(_host.State().OwnerLives);
            await _host.StopAsync();
        }

        await _host.NothingIsLeftAsync();
    }

    [Fact]
    public async Task What_keeps_a_vm_from_starting_is_told_as_in_the_foreground()
    {
        (int code, string output, string error) = await _host.TryAsync([.. _host.Run("vm"), "--", "-device", "no-such-device"]);
        Assert.True(code == 4, error);
        Assert.Contains("KMT3002", error, StringComparison.Ordinal);
        Assert.Empty(output);

        (code, _, error) = await _host.TryAsync(_host.Run("vm", "--console", "stdio"));
        Assert.True(code == 2, error);
        await _host.NothingIsLeftAsync();
    }

    [Fact]
    public async Task An_agent_that_ends_as_it_starts_is_noticed_at_once_and_says_why()
    {
        string inItsWay = Path.Combine(_host.Folder.Runtime.Path, "agent.sock");
        Directory.CreateDirectory(Path.Combine(inItsWay, "full"));
        (int code, string output, string error) = await _host.TryAsync(_host.Run("vm"));
        Directory.Delete(inItsWay, recursive: true);
        Assert.True(code == 4, error);
        Assert.Contains("the agent ended as it started; its last line: kaslrmtd: KMT", error, StringComparison.Ordinal);
        Assert.Empty(output);
    }

    [Theory]
    [InlineData("agent", "INT")]
    [InlineData("claimed", "INT")]
    [InlineData("started", "INT")]
    [InlineData("claimed", "TERM")]
    [InlineData("started", "TERM")]
    public async Task Ctrl_C_while_it_starts_ends_the_vm(string moment, string signal)
    {
        using KaslrmtProcess run = new(_host.Folder, _host.Run("vm"));
        await HostProcesses.EventuallyAsync(
            () => run.HasExited || moment switch
            {
                "agent" => HostProcesses.Agents(_host.Folder).Count > 0,
                "claimed" => Directory.Exists(_host.PathOf("vm")),
                _ => HostProcesses.Qemus(_host.Folder).Count > 0,
            },
            moment);
        await run.SignalAsync(signal);
        (int code, string output, string error) = await run.EndAsync();
        Assert.True(code == 130, error);
        Assert.DoesNotContain("internal error", error, StringComparison.Ordinal);
        Assert.Empty(output);
        await _host.NothingIsLeftAsync();
    }

    [Fact]
    public async Task A_stop_while_QEMU_starts_is_an_end_in_order()
    {
        GuestPlan plan = new() { Seed = TestSecrets.Seed("stopped") };
        using LayoutRequest request = plan.Request(0);
        await using VmHost host = new(_host.Folder.Runtime, LineLogger.None);
        using (VmFolder folder = _host.Folder.Runtime.Claim("vm"))
        {
            VmExit exit = await new VmOwner(host, plan.Spec("vm", request), request, LineLogger.None).RunAsync(folder, null, null, new CancellationToken(canceled: true));
            Assert.Equal(ShutdownReason.HostSignal, exit.Reason);
        }

        await _host.NothingIsLeftAsync();
    }

    private void AssertHoldsNoKey(VmState state)
    {
        string folder = _host.PathOf("vm");
        string[] processes = [.. new[] { state.OwnerProcess, state.ProcessId!.Value }
            .SelectMany(process => new[] { $"/proc/{process}/cmdline", $"/proc/{process}/environ" })];

        // The lock is empty, and .NET takes part in locking.
        string[] files = [.. Directory.GetFiles(folder).Where(file => !file.EndsWith(".sock", StringComparison.Ordinal) && new FileInfo(file).Length > 0)];
        Assert.Contains(Path.Combine(folder, "plan"), files);
        Assert.All(files, file => Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file)));
        Assert.All([.. processes, .. files], file => Assert.DoesNotContain(DetachedHost.Key, Encoding.Latin1.GetString(File.ReadAllBytes(file)), StringComparison.Ordinal));
    }
}

using System.Diagnostics;
using KaslrMt.BootTests.Running;
using KaslrMt.Hypervisors;
using KaslrMt.Layout;
using Xunit.Abstractions;

namespace KaslrMt.BootTests;

/// <summary>An agent that comes after one that died takes all VMs back, knows what happened meanwhile, and waits for none that hangs.</summary>
public sealed class AdoptionTests(ITestOutputHelper output) : IDisposable
{
    private const int Vms = 8;

    private readonly DetachedHost _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task All_vms_are_back_when_the_next_agent_answers_and_one_that_hangs_delays_none()
    {
        // Their guests wait: what is measured is the agent, and not the boots.
        string[] names = [.. Enumerable.Range(0, Vms).Select(number => $"vm{number}")];
        await Parallel.ForEachAsync(names, new ParallelOptions { MaxDegreeOfParallelism = 2 }, async (name, _) => await _host.DoAsync(_host.Run(name, "--", "-S")));
        await HostProcesses.EventuallyAsync(() => HostProcesses.Agents(_host.Folder).Count == 1, "the end of agents that came too late");
        int agent = Assert.Single(HostProcesses.Agents(_host.Folder));
        Dictionary<string, VmState> before = States();
        Assert.Equal(names.Order(StringComparer.Ordinal), before.Keys.Order(StringComparer.Ordinal));
        Assert.All(before.Values, state => Assert.Equal(agent, state.OwnerProcess));
        int hanging = before["vm0"].ProcessId!.Value;

        await HostProcesses.KillAgentAsync(_host.Folder);
        await _host.PsAsync();
        await HostProcesses.EventuallyAsync(() => HostProcesses.Agents(_host.Folder).Count == 1, "the end of agents that came too late");
        int second = Assert.Single(HostProcesses.Agents(_host.Folder));
        Assert.All(States(), vm => Assert.Equal((second, before[vm.Key].ProcessId), (vm.Value.OwnerProcess, vm.Value.ProcessId)));
        Assert.Equal(Vms, States().Count);

        // One hangs: the agent's answer does not wait for it, and the others are back.
        await HostProcesses.KillAgentAsync(_host.Folder);
        await HostProcesses.SignalAsync(hanging, "STOP");
        try
        {
            var started = Stopwatch.StartNew();
            using AgentProcess third = new(_host.Folder);
            await third.WaitForAnswerAsync();
            output.WriteLine($"{Vms} VMs, one of them stopped: the agent answers {started.ElapsedMilliseconds} ms after its start");
            await HostProcesses.EventuallyAsync(() => States().All(vm => vm.Key == "vm0" || vm.Value.OwnerProcess == third.Id), "the others' adoption");
            await _host.StopAsync("vm1");
            Assert.DoesNotContain($"taken over by process {third.Id}", LogOf("vm0"), StringComparison.Ordinal);

            // It goes on, and is taken back without anybody's doing.
            await HostProcesses.SignalAsync(hanging, "CONT");
            await HostProcesses.EventuallyAsync(() => LogOf("vm0").Contains($"taken over by process {third.Id}", StringComparison.Ordinal), "its adoption");
            await _host.StopAsync("vm0");
            Assert.Equal(Vms - 2, States().Count);
        }
        finally
        {
            await HostProcesses.SignalAsync(hanging, "CONT");
        }
    }

    [Fact]
    public async Task A_guest_that_reset_itself_while_no_agent_lived_boots_again_and_one_that_powered_off_is_gone_with_its_reason()
    {
        await _host.DoAsync(Run("resets"));
        await _host.DoAsync(Run("ends"));
        Dictionary<Region, ulong> before = _host.Bases("resets");
        await HostProcesses.KillAgentAsync(_host.Folder);
        int reset = _host.State("resets").ProcessId!.Value, ended = _host.State("ends").ProcessId!.Value;
        await _host.ResetAsync("resets");
        await _host.MonitorAsync("ends", "quit");
        await HostProcesses.EventuallyAsync(() => !HostProcesses.Qemus(_host.Folder).Contains(ended), "the end of one");

        using AgentProcess next = new(_host.Folder);
        await next.WaitForAnswerAsync();
        await HostProcesses.EventuallyAsync(() => _host.State("resets") is { Reboots: 1, ProcessId: not null }, "the boot");
        await _host.DoAsync("verify", "resets");
        Assert.Equal(reset, _host.State("resets").ProcessId);
        Assert.Equal(before[Region.Vmemmap], _host.Bases("resets")[Region.Vmemmap]);
        Assert.NotEqual(before[Region.Physmap], _host.Bases("resets")[Region.Physmap]);
        Assert.DoesNotContain("ends", await _host.PsAsync(), StringComparison.Ordinal);
        await _host.StopAsync("resets");
        await next.TerminateAsync();
        Assert.Contains("ends ended while no agent lived (MonitorQuit)", next.Log, StringComparison.Ordinal);
        Assert.DoesNotContain("resets ended", next.Log, StringComparison.Ordinal);
        await _host.NothingIsLeftAsync();
    }

    private Dictionary<string, VmState> States() => _host.Folder.Runtime.List().ToDictionary(vm => vm.Name, vm => vm.State!);

    private string LogOf(string name) => File.Exists(Path.Combine(_host.PathOf(name), "log")) ? File.ReadAllText(Path.Combine(_host.PathOf(name), "log")) : "";

    private string[] Run(string name) => _host.Run(name, "--initrd", Initramfs.BuildTo(_host.Folder.At($"{name}.initrd"), "sleep 100000"));
}

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
        string[] names = [.. Enumerable.Range(0, Vms).Select(number => $"vm{number}")];
        await Parallel.ForEachAsync(names, new ParallelOptions { MaxDegreeOfParallelism = 2 }, async (name, _) => await _host.DoAsync(Run(name)));
        int agent = Assert.Single(HostProcesses.Agents(_host.Folder));
        int?[] qemus = [.. names.Select(name => _host.State(name).ProcessId)];
        Assert.All(names, name => Assert.Equal(agent, _host.State(name).OwnerProcess));

        await HostProcesses.KillAgentAsync(_host.Folder);
        await _host.PsAsync();
        int second = Assert.Single(HostProcesses.Agents(_host.Folder));
        Assert.All(names, name => Assert.Equal(second, _host.State(name).OwnerProcess));
        Assert.Equal(qemus, names.Select(name => _host.State(name).ProcessId));

        // One hangs: the agent's answer does not wait for it, and the others are back.
        await HostProcesses.KillAgentAsync(_host.Folder);
        await HostProcesses.SignalAsync(qemus[0]!.Value, "STOP");
        try
        {
            var started = Stopwatch.StartNew();
            using AgentProcess third = new(_host.Folder);
            await third.WaitForAnswerAsync();
            output.WriteLine($"{Vms} VMs, one of them stopped: the agent answers {started.ElapsedMilliseconds} ms after its start");
            await HostProcesses.EventuallyAsync(() => names[1..].All(name => _host.State(name).OwnerProcess == third.Id), "the others' adoption");
            await _host.DoAsync("stop", names[1], "--grace", "0");

            // It goes on, and is taken back without anybody's doing.
            await HostProcesses.SignalAsync(qemus[0]!.Value, "CONT");
            await _host.DoAsync("verify", names[0]);
            await _host.PsAsync();
            await HostProcesses.EventuallyAsync(() => _host.State(names[0]).OwnerProcess == third.Id && LogOf(names[0]).Contains($"taken over by process {third.Id}", StringComparison.Ordinal), "its adoption");
            foreach (string name in names.Where(name => name != names[1]))
            {
                await _host.StopAsync(name);
            }

            Assert.Contains("no VM runs", await _host.PsAsync(), StringComparison.Ordinal);
        }
        finally
        {
            await HostProcesses.SignalAsync(qemus[0]!.Value, "CONT");
        }
    }

    [Fact]
    public async Task A_guest_that_reset_itself_while_no_agent_lived_boots_again_and_one_that_powered_off_is_gone_with_its_reason()
    {
        // Neither acts before its console says so: both wait for a byte of the test's.
        await _host.DoAsync(Run("resets"));
        await _host.DoAsync(Run("ends"));
        Dictionary<Region, ulong> before = _host.Bases("resets");
        await HostProcesses.KillAgentAsync(_host.Folder);
        int reset = _host.State("resets").ProcessId!.Value, ended = _host.State("ends").ProcessId!.Value;
        await _host.ResetAsync("resets");
        await _host.MonitorAsync("ends", "quit");
        await HostProcesses.EventuallyAsync(() => !HostProcesses.Qemus(_host.Folder).Any(qemu => qemu == reset || qemu == ended), "the end of both");

        using AgentProcess next = new(_host.Folder);
        await next.WaitForAnswerAsync();
        await HostProcesses.EventuallyAsync(() => _host.State("resets") is { Reboots: 1, ProcessId: not null }, "the boot");
        await _host.DoAsync("verify", "resets");
        Assert.Equal(before[Region.Vmemmap], _host.Bases("resets")[Region.Vmemmap]);
        Assert.NotEqual(before[Region.Physmap], _host.Bases("resets")[Region.Physmap]);
        Assert.DoesNotContain("ends", await _host.PsAsync(), StringComparison.Ordinal);
        await _host.StopAsync("resets");
        await next.TerminateAsync();
        Assert.Contains("ends ended while no agent lived (MonitorQuit)", next.Log, StringComparison.Ordinal);
        Assert.DoesNotContain("resets ended", next.Log, StringComparison.Ordinal);
        await _host.NothingIsLeftAsync();
    }

    private string LogOf(string name) => File.Exists(Path.Combine(_host.PathOf(name), "log")) ? File.ReadAllText(Path.Combine(_host.PathOf(name), "log")) : "";

    private string[] Run(string name) => _host.Run(name, "--initrd", Initramfs.BuildTo(_host.Folder.At($"{name}.initrd"), "sleep 100000"));
}

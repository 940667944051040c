using KaslrMt.BootTests.Running;
using KaslrMt.Hypervisors;
using KaslrMt.Layout;

namespace KaslrMt.BootTests;

/// <summary>A guest's reboots go through its gate: the same QEMU, new per-VM bases, and a guest that waits where there is no kernel for it.</summary>
public sealed class GateTests : IDisposable
{
    private readonly DetachedHost _host = new();

    private string Kernel => _host.Folder.At("vmlinuz");

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task A_guest_whose_kernel_file_is_gone_or_broken_waits_and_goes_on_when_it_is_back()
    {
        File.Copy(TestKernels.Image(DetachedHost.Kernel), Kernel);
        await _host.DoAsync(Run());
        VmState before = _host.State();
        Dictionary<Region, ulong> first = _host.Bases();

        File.Move(Kernel, Kernel + ".away");
        await _host.ResetAsync();
        await HostProcesses.EventuallyAsync(() => _host.State().Waiting is not null, "the guest's waiting");
        string table = await _host.PsAsync();
        Assert.Contains("waiting", table, StringComparison.Ordinal);
        Assert.Contains("KMT2008", table, StringComparison.Ordinal);
        Assert.Contains("KMT2008", await _host.DoAsync("show", "vm"), StringComparison.Ordinal);
        Assert.Contains("KMT2008", await File.ReadAllTextAsync(Path.Combine(_host.PathOf("vm"), "log")), StringComparison.Ordinal);

        // Another file in its place that is no kernel: still waiting, and the reason is the new one.
        await File.WriteAllTextAsync(Kernel, "no kernel");
        await HostProcesses.EventuallyAsync(() => _host.State().Waiting?.Contains("KMT2001", StringComparison.Ordinal) == true, "the other reason");

        File.Move(Kernel + ".away", Kernel, overwrite: true);
        await HostProcesses.EventuallyAsync(() => _host.State() is { Waiting: null, Reboots: 1 }, "the boot");
        await _host.DoAsync("verify", "vm");
        Assert.Equal(before.ProcessId, _host.State().ProcessId);
        Dictionary<Region, ulong> second = _host.Bases();
        Assert.Equal(first[Region.Vmemmap], second[Region.Vmemmap]);
        Assert.NotEqual(first[Region.Physmap], second[Region.Physmap]);
        await _host.StopAsync();
        await _host.NothingIsLeftAsync();
    }

    [Fact]
    public async Task A_kernel_file_that_was_replaced_is_said_aloud()
    {
        File.Copy(TestKernels.Image(DetachedHost.Kernel), Kernel);
        await _host.DoAsync(Run());
        string release = _host.State().Release!;
        File.Copy(TestKernels.Image("6.1-cloud"), Kernel + ".new");
        File.Move(Kernel + ".new", Kernel, overwrite: true);
        await _host.ResetAsync();
        await HostProcesses.EventuallyAsync(() => _host.State().Reboots == 1, "the reboot");
        await _host.DoAsync("verify", "vm");
        Assert.StartsWith("6.1.", _host.State().Release, StringComparison.Ordinal);
        string log = await File.ReadAllTextAsync(Path.Combine(_host.PathOf("vm"), "log"));
        Assert.Contains($"was replaced: the guest boots {_host.State().Release} now, before it was {release}", log, StringComparison.Ordinal);
        await _host.StopAsync();
        await _host.NothingIsLeftAsync();
    }

    [Fact]
    public async Task A_guest_that_was_reset_while_no_agent_lived_is_fed_by_the_next()
    {
        await _host.DoAsync(_host.Run("vm"));
        VmState before = _host.State();
        await HostProcesses.KillAgentAsync(_host.Folder);
        await _host.ResetAsync();
        Assert.Contains("running", await _host.PsAsync(), StringComparison.Ordinal);
        await HostProcesses.EventuallyAsync(() => _host.State() is { OwnerLives: true, Reboots: 1 }, "the reboot");
        await _host.DoAsync("verify", "vm");
        Assert.Equal(before.ProcessId, _host.State().ProcessId);
        await _host.StopAsync();
        await _host.NothingIsLeftAsync();
    }

    [Fact]
    public async Task A_guest_that_resets_in_a_loop_harms_no_other_and_gets_a_kernel_in_the_end()
    {
        await _host.DoAsync(_host.Run("vm"));
        await _host.DoAsync(_host.Run("other"));
        VmState other = _host.State("other");
        for (int i = 0; i < 20; i++)
        {
            await _host.ResetAsync();
        }

        await _host.DoAsync("verify", "other");
        Assert.Equal((other.ProcessId, 0), (_host.State("other").ProcessId, _host.State("other").Reboots));
        await HostProcesses.EventuallyAsync(() => _host.State() is { Reboots: > 0, Waiting: null }, "a boot");
        await _host.DoAsync("verify", "vm");
        Assert.InRange(_host.State().Reboots, 1, 20);
        await _host.StopAsync();
        await _host.StopAsync("other");
        await _host.NothingIsLeftAsync();
    }

    private string[] Run()
    {
        string[] words = _host.Run("vm");
        words[Array.IndexOf(words, "--kernel") + 1] = Kernel;
        return words;
    }
}

using KaslrMt.BootTests.Running;
using KaslrMt.Hypervisors;
using KaslrMt.Vms;

namespace KaslrMt.BootTests.Tables;

/// <summary>The agent dies at each named step of start, stop, save and restore: the next command finds the VM whole or gone, and the table sound.</summary>
public sealed class CrashTests : IDisposable
{
    private readonly TableHost _host = new();

    public static TheoryData<string> StartPoints => [.. CrashPoint.Start];

    public static TheoryData<string> StopPoints => [.. CrashPoint.Stop];

    public static TheoryData<string> SavePoints => [.. CrashPoint.Save];

    public static TheoryData<string> RestorePoints => [.. CrashPoint.Restore];

    public void Dispose() => _host.Dispose();

    [Theory]
    [MemberData(nameof(StartPoints))]
    public async Task While_it_starts_a_VM(string point)
    {
        // What the tenant's other VM has stays as it is.
        await _host.DoAsync(TableHost.Run("mate", "--detach"));
        ulong[] bases = _host.SharedBases("mate");
        await HostProcesses.KillAgentAsync(_host.Folder);
        await DieAsync(point, TableHost.Run("vm", "--detach"));
        await _host.DoAsync("ps");
        Assert.Equal(bases, _host.SharedBases("mate"));
        await _host.DoAsync("stop", "mate", "--grace", "0");
        await EndAsync();
    }

    [Theory]
    [MemberData(nameof(StopPoints))]
    public async Task While_it_stops_a_VM(string point)
    {
        await _host.DoAsync(TableHost.Run("vm", "--detach"));
        await ReplaceAgentAsync(point);
        await DieAsync(point, "stop", "vm", "--grace", "0");
        await EndAsync();
    }

    [Theory]
    [MemberData(nameof(SavePoints))]
    public async Task While_it_saves_a_VM(string point)
    {
        await _host.DoAsync(TableHost.Run("vm", "--detach"));
        ulong[] bases = _host.SharedBases("vm");
        await ReplaceAgentAsync(point);
        string file = _host.Folder.At("saved");
        await DieAsync(point, "save", "vm", "--output", file);
        await _host.DoAsync("ps");
        if (await StateAsync() == "saved")
        {
            Assert.Empty(_host.Folder.Leftovers);
            await _host.DoAsync("restore", "vm", "--input", file);
        }

        Assert.Equal(bases, _host.SharedBases("vm"));
        await _host.DoAsync("verify", "vm");
        await EndAsync();
    }

    [Theory]
    [MemberData(nameof(RestorePoints))]
    public async Task While_it_restores_a_VM(string point)
    {
        await _host.DoAsync(TableHost.Run("vm", "--detach"));
        ulong[] bases = _host.SharedBases("vm");
        string file = _host.Folder.At("saved");
        await _host.DoAsync("save", "vm", "--output", file);
        await HostProcesses.KillAgentAsync(_host.Folder);
        await DieAsync(point, "restore", "vm", "--input", file);
        await _host.DoAsync("ps");
        if (await StateAsync() == "saved")
        {
            Assert.True(File.Exists(file));
            await _host.DoAsync("restore", "vm", "--input", file);
        }

        Assert.Equal(bases, _host.SharedBases("vm"));
        await _host.DoAsync("verify", "vm");
        await EndAsync();
    }

    // The VM's present agent goes, and the next one dies at the point.
    private async Task ReplaceAgentAsync(string point)
    {
        await HostProcesses.KillAgentAsync(_host.Folder);
        _host.Folder.CrashAt = point;
        await _host.DoAsync("ps");
    }

    private async Task DieAsync(string point, params string[] words)
    {
        _host.Folder.CrashAt = point;
        (int code, _, string error) = await KaslrmtProcess.RunAsync(_host.Folder, words);
        await TableHost.EventuallyAsync(() => Task.FromResult(HostProcesses.Agents(_host.Folder).Count == 0), $"the agent's death at {point}: {error}");
        _host.Folder.CrashAt = null;
        Assert.True(code is 0 or 4, $"{code}: {error}");
        Assert.DoesNotContain("internal error", error, StringComparison.Ordinal);
    }

    private async Task<string?> StateAsync()
    {
        string? state = null;
        await TableHost.EventuallyAsync(
            async () => (state = (string?)(await _host.TenantAsync())["running"]?[0]?["state"]) is "running" or "saved", "one state of the VM");
        return state;
    }

    // What is left is a VM that runs as it was meant to, or nothing.
    private async Task EndAsync()
    {
        await _host.DoAsync("ps");
        if (_host.Folder.Runtime.List() is [{ State: VmState }])
        {
            await TableHost.EventuallyAsync(() => Task.FromResult(_host.Folder.Runtime.List() is [{ State.ProcessId: not null }] or []), "the VM's process");
            if (_host.Folder.Runtime.List().Any())
            {
                await _host.DoAsync("verify", "vm");
                await _host.DoAsync("stop", "vm", "--grace", "0");
            }
        }

        await _host.NoKeyIsLeftAsync();
        await TableHost.EventuallyAsync(() => Task.FromResult(HostProcesses.Qemus(_host.Folder).Count == 0), "the end of all QEMUs");
    }
}

using System.Text;
using KaslrMt.Hypervisors;
using KaslrMt.Layout;
using KaslrMt.Vms;

namespace KaslrMt.BootTests.Running;

/// <summary>A host of a test's own whose VMs are detached: its agent supervises them.</summary>
internal sealed class DetachedHost : IDisposable
{
    internal const string Kernel = "6.12-cloud";

    internal DetachedHost()
    {
        File.WriteAllText(KeyFile, Key + "\n", Encoding.ASCII);
        File.SetUnixFileMode(KeyFile, UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    internal HostFolder Folder { get; } = new();

    /// <summary>Gets the file with the tenant key.</summary>
    internal string KeyFile => Folder.At("key");

    /// <summary>Gets the tenant key of its VMs.</summary>
    internal static string Key => TestSecrets.Key("detached");

    /// <summary>Returns the words that start a VM; its key is in a file.</summary>
    internal string[] Run(string name, params string[] further) =>
    [
        "run", "--detach", "--name", name, "--tenant", "t", "--kernel", TestKernels.Image(Kernel), "--accel", "tcg", "-m", "256M",
        "--append", "console=ttyS0 quiet no_timer_check panic=0", "--tenant-key-file", KeyFile, "-M", "microvm", .. further,
    ];

    /// <summary>Runs a command.</summary>
    internal Task<(int ExitCode, string Output, string Error)> TryAsync(params string[] words) => KaslrmtProcess.RunAsync(Folder, words);

    /// <summary>Runs a command, which must succeed.</summary>
    /// <returns>What it printed.</returns>
    internal async Task<string> DoAsync(params string[] words)
    {
        (int code, string output, string error) = await TryAsync(words);
        Assert.True(code == 0, $"{string.Join(' ', words)}: {code}\n{error}");
        return output;
    }

    internal Task<string> PsAsync() => DoAsync("ps");

    internal Task StopAsync(string name = "vm") => DoAsync("stop", name, "--grace", "0");

    internal VmState State(string name = "vm") => Folder.Runtime.List().Single(vm => vm.Name == name).State!;

    internal string PathOf(string name) => Path.Combine(Folder.Runtime.Path, name);

    internal Dictionary<Region, ulong> Bases(string name = "vm") => IntendedLayout.ReadFrom(PathOf(name))!.Regions.ToDictionary(row => row.Region, row => row.Base);

    /// <summary>Resets a VM, as its guest could.</summary>
    internal async Task ResetAsync(string name = "vm") => await MonitorAsync(name, "system_reset");

    internal async Task MonitorAsync(string name, string command)
    {
        await using QmpClient monitor = await QmpClient.ConnectAsync(Path.Combine(PathOf(name), "qmp.sock"), HostProcesses.Patience);
        await monitor.ExecuteAsync(command);
    }

    /// <summary>Waits until the agent has ended by itself; nothing of any VM is left then.</summary>
    internal async Task NothingIsLeftAsync()
    {
        await HostProcesses.EventuallyAsync(() => HostProcesses.Agents(Folder).Count == 0, "the agent's end");
        await PsAsync();
        Assert.Empty(Folder.Leftovers);
        Assert.Empty(HostProcesses.Qemus(Folder));
        Assert.Empty(HostProcesses.Agents(Folder));
    }

    public void Dispose()
    {
        // A test that failed midway must leave no VM behind.
        HostProcesses.KillAll(Folder);
        Folder.Dispose();
    }
}

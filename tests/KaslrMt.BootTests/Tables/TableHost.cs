using System.Diagnostics;
using System.Text.Json.Nodes;
using KaslrMt.BootTests.Running;
using KaslrMt.Hypervisors;
using KaslrMt.Layout;
using KaslrMt.Vms;

namespace KaslrMt.BootTests.Tables;

/// <summary>A host of its own: runtime, state and configuration directories, and the real command over them.</summary>
internal sealed class TableHost : IDisposable
{
    internal const string Kernel = "6.12-cloud";

    internal static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    internal static readonly Region[] Shared = [Region.KernelVirtual, Region.Vmemmap, Region.Modules];

    internal HostFolder Folder { get; } = new();

    /// <summary>Runs the command, which must succeed.</summary>
    /// <returns>What it printed, on both streams.</returns>
    internal async Task<string> DoAsync(params string[] words)
    {
        (int code, string output, string error) = await KaslrmtProcess.RunAsync(Folder, words);
        Assert.True(code == 0, $"{string.Join(' ', words)}: {code}\n{error}");
        return output + error;
    }

    internal static string[] Run(string name, params string[] further) =>
    [
        "run", "--tenant", "acme", "--name", name, "--kernel", TestKernels.Image(Kernel), "--accel", "tcg", "-m", "256M", "-M", "microvm",
        "--append", "console=ttyS0 quiet no_timer_check panic=0", .. further,
    ];

    /// <summary>The tenant as the table has it.</summary>
    internal async Task<JsonNode> TenantAsync()
    {
        (int code, string output, string error) = await KaslrmtProcess.RunAsync(Folder, "tenant", "show", "acme", "--json");
        Assert.True(code == 0, error);
        return JsonNode.Parse(output)!;
    }

    internal async Task NoKeyIsLeftAsync()
    {
        JsonNode tenant = await TenantAsync();
        Assert.Equal(0, (long)tenant["vms"]!);
        Assert.Null(tenant["keyId"]);
        Assert.Contains(": sound", await DoAsync("store", "check"), StringComparison.Ordinal);
        Assert.Empty(Folder.Leftovers);
    }

    /// <summary>The per-tenant bases of a VM here.</summary>
    internal ulong[] SharedBases(string name)
    {
        Dictionary<Region, ulong> bases = IntendedLayout.ReadFrom(Path.Combine(Folder.Runtime.Path, name))!.Regions.ToDictionary(row => row.Region, row => row.Base);
        return [.. Shared.Select(region => bases[region])];
    }

    internal VmState State(string name) => Folder.Runtime.List().Single(vm => vm.Name == name).State!;

    internal static void Kill(int? process) => HostProcesses.Kill(process);

    internal static async Task EventuallyAsync(Func<Task<bool>> condition, string what)
    {
        long start = Environment.TickCount64;
        while (!await condition())
        {
            Assert.True(Environment.TickCount64 - start < Patience.TotalMilliseconds, $"not within {Patience.TotalSeconds} s: {what}");
            await Task.Delay(50);
        }
    }

    public void Dispose()
    {
        // A test that failed midway must leave no VM behind.
        HostProcesses.KillAll(Folder);
        Folder.Dispose();
    }
}

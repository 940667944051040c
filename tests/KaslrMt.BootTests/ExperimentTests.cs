using System.Diagnostics;
using System.Text.Json.Nodes;
using KaslrMt.BootTests.Running;
using KaslrMt.Sharing;

namespace KaslrMt.BootTests;

/// <summary><c>experiment</c>: what it measures on real guests, and that neither an interruption nor a kill loses or leaves anything.</summary>
[Collection(HostKsm.Name)]
public sealed class ExperimentTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(8);

    private readonly HostFolder _scratch = new();

    private string Folder => _scratch.At("results");

    private string[] Probes => Directory.Exists(Path.Combine(Folder, "probes")) ? Directory.GetFiles(Path.Combine(Folder, "probes")) : [];

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task Regions_go_on_where_they_were_interrupted_and_find_what_a_shared_base_keeps_equal()
    {
        string[] words = ["experiment", "regions", "--policy", "111111", "000000", "--probes", "2", "--parallel", "2", "--output", Folder, "--json"];

        // Killed while the first guests boot.
        using (KaslrmtProcess killed = new(_scratch, words))
        {
            await EventuallyAsync(() => _scratch.Leftovers.Any(), killed);
            await killed.SignalAsync("KILL");
            await killed.EndAsync();
        }

        // Interrupted once something was measured.
        using (KaslrmtProcess interrupted = new(_scratch, words))
        {
            await EventuallyAsync(() => Probes.Length > 0, interrupted);
            await interrupted.SignalAsync("INT");
            Assert.Equal(130, (await interrupted.EndAsync()).ExitCode);
        }

        Assert.Empty(_scratch.Leftovers);
        Dictionary<string, DateTime> before = Probes.ToDictionary(file => file, File.GetLastWriteTimeUtc);
        Assert.InRange(before.Count, 1, 3);
        using KaslrmtProcess last = new(_scratch, words);
        (int code, string output, string error) = await last.EndAsync(Patience);
        Assert.True(code == 0, error);
        Assert.Equal(4, Probes.Length);
        Assert.All(before, file => Assert.Equal(file.Value, File.GetLastWriteTimeUtc(file.Key)));
        Assert.Empty(_scratch.Leftovers);
        Assert.False(File.Exists(Path.Combine(Folder, "key")));

        JsonNode report = JsonNode.Parse(output)!;
        double Share(string policy, string name, string by) => report["policies"]!.AsArray().Single(row => (string)row!["policy"]! == policy)!["classes"]!.AsArray()
            .Single(row => (string)row!["name"]! == name)![by]!.GetValue<double>();
        Assert.Equal((1, 1), (Share("111111", "kernel-code", "byContent"), Share("111111", "kernel-code", "byPlace")));
        Assert.InRange(Share("000000", "kernel-code", "byContent"), 0, 0.5);
        Assert.True(Share("111111", "vmemmap", "byPlace") > 0.5 && Share("000000", "vmemmap", "byContent") < 0.2);
        Assert.True(Share("111111", "module-code", "byContent") > Share("000000", "module-code", "byContent"));
        Assert.Equal(output, await File.ReadAllTextAsync(Path.Combine(Folder, "results.json")));

        // A file that lost its end is told by name, and nothing else is measured again.
        await File.WriteAllBytesAsync(Probes[0], (await File.ReadAllBytesAsync(Probes[0]))[..100]);
        (int damaged, string nothing, string told) = await KaslrmtProcess.RunAsync(_scratch, words);
        Assert.Equal((3, ""), (damaged, nothing));
        Assert.Contains($"KMT6027: {Probes[0]} ", told, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Guests_of_a_tenant_share_more_than_with_their_own_kaslr_and_the_hosts_ksm_saves_it()
    {
        // Whether it settles depends on what else runs on this host; most is merged long before.
        KsmSettings before = KsmSettings.Read(KsmFolder.Open());
        using KaslrmtProcess process = new(_scratch, "experiment", "curve", "--guests", "3", "--mode", "stock", "kaslr-mt", "two-tenants-zeroed", "--ksm-limit", "60", "--output", Folder, "--json");
        (int code, string output, string error) = await process.EndAsync(Patience);
        Assert.True(code == 0, error);
        Assert.Equal(before.Values.AsEnumerable(), KsmSettings.Read(KsmFolder.Open()).Values.AsEnumerable());
        Assert.Empty(_scratch.Leftovers);

        JsonNode report = JsonNode.Parse(output)!;
        JsonNode stock = report["modes"]![0]!, ours = report["modes"]![1]!, two = report["modes"]![2]!;
        Assert.Equal(("stock", "kaslr-mt", "two-tenants-zeroed"), ((string)stock["name"]!, (string)ours["name"]!, (string)two["name"]!));
        Assert.All([stock, ours, two], mode =>
        {
            Assert.Equal((3, 0), ((int)mode["booted"]!, (int)mode["changedPages"]!));
            Assert.True((long)mode["ksm"]!["pagesSharing"]! > 0);
            Assert.True((long)mode["ksm"]!["heldPages"]! < (long)mode["ksm"]!["residentBefore"]!);
        });
        Assert.True((double)ours["kernelPages"]!["redundantShare"]! > (double)stock["kernelPages"]!["redundantShare"]!);
        Assert.True((long)ours["ksm"]!["heldPages"]! < (long)stock["ksm"]!["heldPages"]!);

        // The second tenant's guest has its own copy of the kernel; the two of the first share theirs.
        JsonNode text = two["classes"]![0]!;
        Assert.Equal(2, (int)two["tenants"]!);
        Assert.InRange((long)text["withinTenants"]!, (long)text["pages"]! / 4, (long)text["pages"]! * 2 / 3);
        Assert.InRange((long)text["acrossTenants"]!, 1, (long)text["pages"]! / 8);

        // Nothing is left on free pages: one content, zeros.
        JsonNode free = two["classes"]!.AsArray().Single(row => (string)row!["name"]! == "free")!;
        Assert.InRange((long)free["distinct"]!, 1, 16);
        Assert.Equal(10, File.ReadAllLines(Path.Combine(Folder, "curve.csv")).Length);
    }

    [Fact]
    public async Task A_guest_that_ends_before_it_is_read_is_named_and_nothing_is_left()
    {
        using KaslrmtProcess process = new(_scratch, "experiment", "curve", "--guests", "3", "--mode", "stock", "--parallel", "1", "--no-ksm", "--output", Folder);
        string Guest(int number) => _scratch.Leftovers.FirstOrDefault(folder => folder.EndsWith($"-stock-{number}", StringComparison.Ordinal)) ?? "";
        await EventuallyAsync(() => Guest(1).Length > 0, process);
        string killed = Path.GetFileName(Guest(0));
        int id = _scratch.Runtime.List().Single(vm => vm.Name == killed).State!.ProcessId!.Value;
        using (Process kill = Process.Start("kill", ["-KILL", $"{id}"]))
        {
            await kill.WaitForExitAsync();
        }

        (int code, string output, string error) = await process.EndAsync(Patience);
        Assert.Equal((1, ""), (code, output));
        Assert.Contains($"KMT6026: {killed} had booted, and ended before it could be read", error, StringComparison.Ordinal);
        Assert.Empty(_scratch.Leftovers);
    }

    private static async Task EventuallyAsync(Func<bool> holds, KaslrmtProcess process)
    {
        for (long start = Environment.TickCount64; !holds();)
        {
            Assert.True(Environment.TickCount64 - start < Patience.TotalMilliseconds && !process.HasExited, "it did not come that far");
            await Task.Delay(20);
        }
    }
}

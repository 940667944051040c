using System.Diagnostics;
using System.Globalization;

namespace KaslrMt.Tenants.Tests.Faults;

/// <summary>Processes that die in the middle of a change, and many that compete: the table stays sound. On every kind of store.</summary>
public abstract class FaultTests
{
    private const int SigKill = 128 + 9;

    private protected abstract string Location { get; }

    private protected abstract KeyRingFile Keys { get; }

    [Theory]
    [InlineData("start", "begun")]
    [InlineData("start", "written")]
    [InlineData("start", "committed")]
    [InlineData("start", "done")]
    [InlineData("stop", "begun")]
    [InlineData("stop", "written")]
    [InlineData("stop", "committed")]
    [InlineData("stop", "done")]
    public async Task Kill_9_at_a_step_leaves_a_table_that_reconciles_to_nothing_left(string change, string step)
    {
        using Process worker = Worker.Start("crash", Location, Keys.Path, change, step);
        await worker.WaitForExitAsync();
        Assert.Equal(SigKill, worker.ExitCode);

        await using var table = new TenantTable(await Worker.OpenAsync(Location, Keys, StoreHooks.None), Table.HostA, Table.Lease);
        await table.RenewAsync();
        Assert.Empty(await table.CheckAsync());
        bool recorded = (change, step) is ("start", "committed" or "done") or ("stop", "begun" or "written");
        Assert.Equal(recorded ? ["victim"] : [], (await table.ReconcileAsync()).Select(vm => vm.Name));
        Assert.Empty(await table.Store.VmsAsync().AllAsync());
        Assert.DoesNotContain(await table.Store.TenantsAsync().AllAsync(), tenant => tenant.HasKey);
        Assert.Empty(await table.CheckAsync());
        await table.Store.StartAsync("acme", "victim");
    }

    [Theory]
    [InlineData(1, 25)]
    [InlineData(3, 25)]
    public async Task A_hundred_concurrent_starts_and_stops_from_several_processes_keep_one_key_at_a_time(int tenants, int pairs)
    {
        Process[] workers = [.. Enumerable.Range(0, 4).Select(i => Worker.Start("churn", Location, Keys.Path, $"w{i}", $"{pairs}", $"{tenants}"))];
        string[] outputs = await Task.WhenAll(workers.Select(worker => worker.StandardOutput.ReadToEndAsync()));
        string[] errors = await Task.WhenAll(workers.Select(worker => worker.StandardError.ReadToEndAsync()));
        await Task.WhenAll(workers.Select(worker => worker.WaitForExitAsync()));
        Assert.All(errors, error => Assert.Equal("", error));
        Assert.All(workers, worker => Assert.Equal(0, worker.ExitCode));
        Array.ForEach(workers, worker => worker.Dispose());

        string[][] starts = [.. outputs.SelectMany(output => output.Split('\n', StringSplitOptions.RemoveEmptyEntries)).Select(line => line.Split(' '))];
        Assert.Equal(4 * pairs, starts.Length);

        // What the VMs really got: one key for each generation of a tenant, and no key twice.
        var keys = starts.GroupBy(start => (start[0], long.Parse(start[1], CultureInfo.InvariantCulture)), start => start[2]).ToList();
        Assert.All(keys, generation => Assert.Single(generation.Distinct()));
        Assert.Equal(keys.Count, keys.Select(generation => generation.First()).Distinct().Count());

        await using ITenantStore store = await Worker.OpenAsync(Location, Keys, StoreHooks.None);
        await Table.SoundAsync(store);
        Assert.Empty(await store.VmsAsync().AllAsync());
        Assert.DoesNotContain(await store.TenantsAsync().AllAsync(), tenant => tenant.HasKey);
        Assert.Equal(4 * pairs, (await store.AuditAsync().AllAsync()).Count(entry => entry.Action == "start"));
    }
}

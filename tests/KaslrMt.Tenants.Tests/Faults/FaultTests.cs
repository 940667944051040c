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
    public async Task Processes_that_start_and_stop_vms_all_the_time_keep_one_key_at_a_time(int tenants, int pairs)
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

    [Fact]
    public async Task A_hundred_starts_at_once_of_one_tenant_and_then_a_hundred_stops_at_once_share_one_key_and_purge_it()
    {
        const int processes = 10;
        const int vms = 10;
        Process[] workers = [.. Enumerable.Range(0, processes).Select(i => Worker.Start("crowd", Location, Keys.Path, $"w{i}", $"{vms}"))];
        Task<string>[] errors = [.. workers.Select(worker => worker.StandardError.ReadToEndAsync())];

        // Nobody begins before all are ready, so a hundred changes of one tenant meet.
        Assert.All(await UntilAsync(workers, "ready"), Assert.Empty);
        await ReleaseAsync(workers);
        string[] starts = [.. (await UntilAsync(workers, "started")).SelectMany(lines => lines)];
        Assert.Equal(processes * vms, starts.Length);
        string start = Assert.Single(starts.Distinct());
        Assert.StartsWith("acme 1 ", start, StringComparison.Ordinal);

        await using ITenantStore store = await Worker.OpenAsync(Location, Keys, StoreHooks.None);
        TenantRecord tenant = (await store.FindTenantAsync("acme"))!;
        Assert.Equal((processes * vms, true), (tenant.Vms, tenant.HasKey));
        await Table.SoundAsync(store);

        await ReleaseAsync(workers);
        await Task.WhenAll(workers.Select(worker => worker.WaitForExitAsync()));
        Assert.All(await Task.WhenAll(errors), error => Assert.Equal("", error));
        Assert.All(workers, worker => Assert.Equal(0, worker.ExitCode));
        Array.ForEach(workers, worker => worker.Dispose());

        await Table.SoundAsync(store);
        Assert.Empty(await store.VmsAsync().AllAsync());
        Assert.False((await store.FindTenantAsync("acme"))!.HasKey);
        List<AuditEntry> log = await store.AuditAsync().AllAsync();
        Assert.Equal((processes * vms, processes * vms), (log.Count(entry => entry.Action == "start"), log.Count(entry => entry.Action == "stop")));
        Assert.Equal([KeyEffect.Created, KeyEffect.Purged], log.Select(entry => entry.Key).Where(effect => effect != KeyEffect.None));
    }

    private static Task<List<string>[]> UntilAsync(Process[] workers, string said) => Task.WhenAll(workers.Select(async worker =>
    {
        List<string> lines = [];
        while (await worker.StandardOutput.ReadLineAsync() is { } line && line != said)
        {
            lines.Add(line);
        }

        return lines;
    }));

    private static Task ReleaseAsync(Process[] workers) => Task.WhenAll(workers.Select(async worker =>
    {
        await worker.StandardInput.WriteLineAsync();
        await worker.StandardInput.FlushAsync();
    }));
}

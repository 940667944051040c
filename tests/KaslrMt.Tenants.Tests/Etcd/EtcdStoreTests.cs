using System.Text.Json;
using System.Text.Json.Nodes;
using KaslrMt.Tenants.Etcd;
using KaslrMt.Tenants.Tests.Stores;
using KaslrMt.TestSupport.Etcd;

namespace KaslrMt.Tenants.Tests.Etcd;

public sealed class EtcdStoreTests(EtcdCluster cluster) : TenantStoreTests, IClassFixture<EtcdCluster>, IDisposable
{
    // A request that a loaded machine answers late must not be sent twice: round trips are counted.
    private static readonly EtcdAccess Patient = new() { RequestTimeout = TimeSpan.FromSeconds(60), Patience = TimeSpan.FromSeconds(90) };

    private readonly Scratch _scratch = Scratch.InMemory();
    private readonly string _prefix = $"test/{Guid.NewGuid():N}";

    private protected override KeyRingFile Keys => _scratch.Keys();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task A_start_takes_two_round_trips_and_a_stop_three()
    {
        await using var store = (EtcdTenantStore)await OpenAsync();
        await store.RenewHostAsync(Table.HostA, Table.Lease, Table.Tester);
        long before = store.RoundTrips;
        await store.StartAsync("acme", "v1");
        Assert.Equal(2, store.RoundTrips - before);
        await store.StartAsync("acme", "v2");
        Assert.Equal(4, store.RoundTrips - before);
        await store.DoAsync(new StopVm("v2"));
        Assert.Equal(7, store.RoundTrips - before);
    }

    [Fact]
    public async Task A_stop_that_loses_a_race_leaves_the_names_new_owner_alone()
    {
        bool raced = false;
        await using ITenantStore other = await OpenAsync();
        await other.RenewHostAsync(Table.HostA, Table.Lease, Table.Tester);
        await other.StartAsync("acme", "v1");
        await using ITenantStore store = await OpenAsync(new StoreHooks
        {
            Step = step =>
            {
                if (step == "written" && !raced)
                {
                    raced = true;
                    other.DoAsync(new StopVm("v1")).GetAwaiter().GetResult();
                    other.StartAsync("beta", "v1").GetAwaiter().GetResult();
                }
            },
        });

        // Whose VM it was is gone, which is what was asked for.
        using Outcome outcome = await store.DoAsync(new StopVm("v1"));
        Assert.True(raced);
        Assert.False(outcome.Changed);
        Assert.Equal("beta", (await store.FindVmAsync("v1"))!.Tenant);
        await Table.SoundAsync(store);
    }

    [Fact]
    public async Task A_store_of_version_1_gets_its_hosts_lists_and_the_earlier_program_is_told()
    {
        await using (ITenantStore store = await OpenAsync())
        {
            await store.RenewHostAsync(Table.HostA, Table.Lease, Table.Tester);
            await store.RenewHostAsync(Table.HostB, Table.Lease, Table.Tester);
            await store.StartAsync("acme", "v1");
            await store.StartAsync("beta", "v2");
            await store.RunAsync("v2");
            await store.DoAsync(new BeginMigration("v2", "h-b"));
        }

        // What version 1 wrote had no lists, and a seal that said so.
        await cluster.CallAsync("/v3/kv/deleterange", Gateway.Prefix($"/{_prefix}/host-vms/"));
        JsonNode seal = await SealAsync();
        Assert.Equal(2, (int)seal["schema"]!);
        seal["schema"] = 1;
        await cluster.CallAsync("/v3/kv/put", new JsonObject
        {
            ["key"] = Gateway.Encode($"/{_prefix}/seal"),
            ["value"] = Gateway.Encode(seal.ToJsonString()),
        });

        ITenantStore[] stores = await Task.WhenAll(OpenAsync(), OpenAsync());
        Assert.Equal(2, (int)(await SealAsync())["schema"]!);
        foreach (ITenantStore store in stores)
        {
            Assert.Equal(["v1", "v2"], (await store.VmsOfHostAsync("h-a").AllAsync()).Select(vm => vm.Name));
            Assert.Equal(["v2"], (await store.VmsOfHostAsync("h-b").AllAsync()).Select(vm => vm.Name));
            await Table.SoundAsync(store);
            await store.DisposeAsync();
        }
    }

    [Fact]
    public async Task A_host_list_that_somebody_changed_past_us_is_noticed()
    {
        await using ITenantStore store = await OpenAsync();
        await store.RenewHostAsync(Table.HostA, Table.Lease, Table.Tester);
        await store.StartAsync("acme", "v1");
        await cluster.CallAsync("/v3/kv/deleterange", new JsonObject { ["key"] = Gateway.Encode($"/{_prefix}/host-vms/h-a/v1") });
        Assert.Contains("lacks a VM", Assert.Single(await store.CheckAsync()), StringComparison.Ordinal);
        await cluster.CallAsync("/v3/kv/put", new JsonObject
        {
            ["key"] = Gateway.Encode($"/{_prefix}/host-vms/h-b/v1"),
            ["value"] = Gateway.Encode("acme"),
        });
        Assert.Empty(await store.VmsOfHostAsync("h-b").AllAsync());
        Assert.Equal(2, (await store.CheckAsync()).Count);
    }

    private async Task<JsonNode> SealAsync()
    {
        JsonElement read = await cluster.CallAsync("/v3/kv/range", new JsonObject { ["key"] = Gateway.Encode($"/{_prefix}/seal") });
        return JsonNode.Parse(Gateway.Pairs(read).Single().Value)!;
    }

    private protected override async Task<ITenantStore> OpenAsync(StoreHooks? hooks = null) =>
        await EtcdTenantStore.OpenAsync(EtcdLocation.Parse(cluster.Location(_prefix)), Patient, Keys, hooks ?? StoreHooks.None);
}

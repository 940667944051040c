using KaslrMt.Tenants.Etcd;
using KaslrMt.Tenants.Tests.Stores;

namespace KaslrMt.Tenants.Tests.Etcd;

public sealed class EtcdStoreTests(EtcdCluster cluster) : TenantStoreTests, IClassFixture<EtcdCluster>, IDisposable
{
    private readonly Scratch _scratch = new();
    private readonly string _prefix = $"test/{Guid.NewGuid():N}";

    private protected override KeyRingFile Keys => _scratch.Keys;

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

    private protected override async Task<ITenantStore> OpenAsync(StoreHooks? hooks = null) =>
        await EtcdTenantStore.OpenAsync(EtcdLocation.Parse(cluster.Location(_prefix)), new EtcdAccess(), Keys, hooks ?? StoreHooks.None);
}

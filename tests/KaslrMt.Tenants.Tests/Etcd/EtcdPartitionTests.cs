using KaslrMt.Tenants.Etcd;
using KaslrMt.TestSupport.Etcd;

namespace KaslrMt.Tenants.Tests.Etcd;

/// <summary>A member that is cut off: from the others, from its clients, from all of them; and what comes after it is joined again.</summary>
public sealed class EtcdPartitionTests : IDisposable
{
    private static readonly EtcdAccess Access = new()
    {
        RequestTimeout = TimeSpan.FromSeconds(2),
        Patience = TimeSpan.FromSeconds(60),
        WatchSilence = TimeSpan.FromSeconds(2),
    };

    private readonly PartitionedNodes _cluster = new();
    private readonly Scratch _scratch = Scratch.InMemory();

    public void Dispose()
    {
        _cluster.Dispose();
        _scratch.Dispose();
    }

    [Fact]
    public async Task A_leader_cut_off_from_everybody_is_passed_by_and_catches_up()
    {
        await using ITenantStore store = await OpenAsync(_cluster.Location("kaslrmt"));
        EtcdNode leader = await _cluster.LeaderAsync();
        string key = await store.StartAsync("acme", "before");
        _cluster.Cut(leader);
        Assert.Equal(key, await store.StartAsync("acme", "during"));
        await store.DoAsync(new StopVm("before"));
        _cluster.Join(leader);
        await using ITenantStore alone = await OpenAsync($"etcd://{leader.Endpoint.Authority}/kaslrmt");
        Assert.Equal(["during"], (await alone.VmsAsync().AllAsync()).Select(vm => vm.Name));
        Assert.Equal(key, await alone.StartAsync("acme", "after"));
        await Table.SoundAsync(alone);
    }

    [Fact]
    public async Task A_leader_cut_off_from_the_others_takes_no_change_and_gives_no_stale_answer_to_clients_it_still_has()
    {
        await using ITenantStore store = await OpenAsync(_cluster.Location("kaslrmt"));
        EtcdNode leader = await _cluster.LeaderAsync();
        await using ITenantStore beside = await OpenAsync($"etcd://{leader.Endpoint.Authority}/kaslrmt", Access with { Patience = TimeSpan.FromSeconds(5) });
        string old = await store.StartAsync("acme", "before");
        _cluster.CutFromPeers(leader);
        await Table.RefusedAsync(TenantErrors.EtcdUnreachable, () => beside.StartAsync("acme", "refused"));

        // The others' side goes on: the tenant's key is purged there, and a new one made.
        await store.DoAsync(new StopVm("before"));
        string now = await store.StartAsync("acme", "during");
        Assert.NotEqual(old, now);
        await Table.RefusedAsync(TenantErrors.EtcdUnreachable, () => beside.FindTenantAsync("acme"));
        await Table.RefusedAsync(TenantErrors.EtcdUnreachable, () => beside.StartAsync("acme", "refused"));

        _cluster.Join(leader);
        await using ITenantStore healed = await OpenAsync($"etcd://{leader.Endpoint.Authority}/kaslrmt");
        Assert.Equal(now, await healed.StartAsync("acme", "after"));
        Assert.Equal(["after", "during"], (await healed.VmsAsync().AllAsync()).Select(vm => vm.Name));
        await Table.SoundAsync(healed);
    }

    [Fact]
    public async Task A_watch_on_a_member_that_its_client_no_longer_reaches_goes_on_at_another_and_misses_nothing()
    {
        await using ITenantStore store = await OpenAsync(_cluster.Location("kaslrmt"));
        await using ITenantStore watcher = await OpenAsync(_cluster.Location("kaslrmt"));
        using var cancel = new CancellationTokenSource(TimeSpan.FromMinutes(5));
        await using IAsyncEnumerator<TableChange> watch = watcher.WatchAsync(cancel.Token).GetAsyncEnumerator();
        Assert.True(await watch.MoveNextAsync());
        List<string> seen = [];
        foreach (EtcdNode node in _cluster.Nodes)
        {
            _cluster.CutFromClients(node);
            string name = $"v{seen.Count}";
            await store.StartAsync("acme", name);
            while (!seen.Contains(name))
            {
                Assert.True(await watch.MoveNextAsync());
                Assert.NotEqual(TableChangeKind.Relist, watch.Current.Kind);
                if (watch.Current.Kind == TableChangeKind.Vm)
                {
                    seen.Add(watch.Current.Name);
                }
            }

            _cluster.Join(node);
        }

        Assert.Equal(["v0", "v1", "v2"], seen);
    }

    private async Task<ITenantStore> OpenAsync(string location, EtcdAccess? access = null)
    {
        EtcdTenantStore store = await EtcdTenantStore.OpenAsync(EtcdLocation.Parse(location), access ?? Access, _scratch.Keys());
        await store.RenewHostAsync(Table.HostA, Table.Lease, Table.Tester);
        return store;
    }
}

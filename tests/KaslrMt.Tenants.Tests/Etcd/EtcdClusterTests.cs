using System.Text.Json;
using System.Text.Json.Nodes;
using KaslrMt.Tenants.Etcd;
using KaslrMt.TestSupport.Etcd;

namespace KaslrMt.Tenants.Tests.Etcd;

/// <summary>Three real nodes, and what becomes of them.</summary>
public sealed class EtcdClusterTests : IDisposable
{
    private static readonly EtcdAccess Access = new() { RequestTimeout = TimeSpan.FromSeconds(2), Patience = TimeSpan.FromSeconds(40), WatchSilence = TimeSpan.FromSeconds(2) };

    private readonly ThreeNodes _cluster = new();
    private readonly Scratch _scratch = Scratch.InMemory();

    public void Dispose()
    {
        _cluster.Dispose();
        _scratch.Dispose();
    }

    [Fact]
    public async Task A_killed_leader_delays_starts_and_stops_and_loses_none()
    {
        await using ITenantStore store = await OpenAsync();
        Task<int> churn = ChurnAsync(store, 60);
        await Task.Delay(300);
        EtcdNode leader = await _cluster.LeaderAsync();
        leader.Kill();
        Assert.Equal(60, await churn);
        leader.Start();
        await Table.SoundAsync(store);
        Assert.Equal(1, (await store.FindTenantAsync("acme"))!.Vms);
    }

    [Fact]
    public async Task A_frozen_member_is_passed_by_and_catches_up()
    {
        await using ITenantStore store = await OpenAsync();
        EtcdNode leader = await _cluster.LeaderAsync();
        Task<int> churn = ChurnAsync(store, 40);
        await Task.Delay(200);
        leader.Freeze();
        Assert.Equal(40, await churn);
        leader.Thaw();

        // Asked alone, the member that was away tells the same as the others.
        await using ITenantStore alone = await OpenAsync($"etcd://{leader.Endpoint.Authority}/kaslrmt");
        Assert.Equal(await store.FindTenantAsync("acme"), await alone.FindTenantAsync("acme"));
        await Table.SoundAsync(alone);
    }

    [Fact]
    public async Task Without_a_majority_nothing_changes_and_the_error_says_so_and_after_a_restart_of_all_everything_is_there()
    {
        await using ITenantStore store = await OpenAsync();
        await using ITenantStore impatient = await OpenAsync(access: Access with { Patience = TimeSpan.FromSeconds(3) });
        string key = await store.StartAsync("acme", "kept");
        foreach (EtcdNode node in _cluster.Nodes.Take(2))
        {
            node.Kill();
        }

        await Table.RefusedAsync(TenantErrors.EtcdUnreachable, () => impatient.StartAsync("acme", "refused"));
        _cluster.Nodes[2].Kill();
        foreach (EtcdNode node in _cluster.Nodes)
        {
            node.Start();
        }

        Assert.Equal(key, await store.StartAsync("acme", "later"));
        Assert.Equal(["kept", "later"], (await store.VmsAsync().AllAsync()).Select(vm => vm.Name));
        await Table.SoundAsync(store);
    }

    [Fact]
    public async Task A_watch_goes_on_where_it_was_when_its_member_dies()
    {
        await using ITenantStore store = await OpenAsync();
        await using ITenantStore watcher = await OpenAsync();
        using var cancel = new CancellationTokenSource(TimeSpan.FromMinutes(5));
        List<string> seen = [];
        int relists = 0;
        Task watching = Task.Run(async () =>
        {
            await foreach (TableChange change in watcher.WatchAsync(cancel.Token))
            {
                relists += change.Kind == TableChangeKind.Relist ? 1 : 0;
                if (change.Kind == TableChangeKind.Vm)
                {
                    lock (seen)
                    {
                        seen.Add(change.Name);
                    }
                }
            }
        });
        await Table.EventuallyAsync(() => Task.FromResult(relists == 1), "the first listing");
        for (int i = 0; i < 6; i++)
        {
            EtcdNode node = _cluster.Nodes[i % 3];
            node.Kill();
            await store.StartAsync("acme", $"v{i}");
            node.Start();
            await store.StartAsync("acme", $"w{i}");
        }

        string[] expected = [.. Enumerable.Range(0, 6).SelectMany(i => new[] { $"v{i}", $"w{i}" })];
        await Table.EventuallyAsync(
            () =>
            {
                lock (seen)
                {
                    return Task.FromResult(seen.Count >= expected.Length);
                }
            },
            "all changes");
        Assert.Equal(expected, seen);
        Assert.Equal(1, relists);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => watching);
    }

    [Fact]
    public async Task A_watch_whose_revision_was_compacted_away_lists_again()
    {
        await using ITenantStore store = await OpenAsync();
        await using ITenantStore watcher = await OpenAsync(access: Access with { WatchSilence = TimeSpan.FromSeconds(1) });
        using var cancel = new CancellationTokenSource(TimeSpan.FromMinutes(5));
        await using IAsyncEnumerator<TableChange> watch = watcher.WatchAsync(cancel.Token).GetAsyncEnumerator();
        Assert.True(await watch.MoveNextAsync());

        // The watcher is between its listing and its stream; what it would go on from is gone by then.
        await store.StartAsync("acme", "v1");
        await store.StartAsync("acme", "v2");
        await _cluster.AllUpAsync();
        await store.ScrubAsync();
        Assert.True(await watch.MoveNextAsync());
        Assert.Equal(TableChangeKind.Relist, watch.Current.Kind);
        await store.StartAsync("acme", "v3");
        do
        {
            Assert.True(await watch.MoveNextAsync());
        }
        while (watch.Current is not { Kind: TableChangeKind.Vm, Name: "v3" });
    }

    [Fact]
    public async Task A_watch_outlasts_an_outage_of_the_whole_cluster_and_lists_again_when_its_revision_is_gone()
    {
        Relay[] relays = [.. _cluster.Nodes.Select(node => new Relay(node.Endpoint))];
        string behind = $"etcd://{string.Join(',', relays.Select(relay => relay.Authority))}/kaslrmt";
        await using ITenantStore store = await OpenAsync();
        await using ITenantStore watcher = await OpenAsync(
            behind, Access with { RequestTimeout = TimeSpan.FromSeconds(1), Patience = TimeSpan.FromSeconds(1), WatchSilence = TimeSpan.FromSeconds(1) });
        using var cancel = new CancellationTokenSource(TimeSpan.FromMinutes(5));
        await using IAsyncEnumerator<TableChange> watch = watcher.WatchAsync(cancel.Token).GetAsyncEnumerator();
        Assert.True(await watch.MoveNextAsync());
        await store.StartAsync("acme", "v1");
        await UntilAsync(watch, "v1");

        // All nodes go at once, for longer than a change would wait; the watcher is the last to get them back.
        Task<bool> next = watch.MoveNextAsync().AsTask();
        Array.ForEach(relays, relay => relay.Cut());
        foreach (EtcdNode node in _cluster.Nodes)
        {
            node.Kill();
        }

        await Task.Delay(TimeSpan.FromSeconds(2));
        foreach (EtcdNode node in _cluster.Nodes)
        {
            node.Start();
        }

        await store.StartAsync("acme", "v2");
        await store.DoAsync(new StopVm("v1"));
        await _cluster.AllUpAsync();
        await store.ScrubAsync();
        while (next.IsCompletedSuccessfully)
        {
            // What the transaction of v1's start told besides the VM.
            Assert.NotEqual(TableChangeKind.Relist, watch.Current.Kind);
            next = watch.MoveNextAsync().AsTask();
        }

        Array.ForEach(relays, relay => relay.Join());
        Assert.True(await next);
        Assert.Equal(TableChangeKind.Relist, watch.Current.Kind);
        Assert.Equal(["v2"], (await watcher.VmsAsync().AllAsync()).Select(vm => vm.Name));
        await store.StartAsync("acme", "v3");
        await UntilAsync(watch, "v3");
        Array.ForEach(relays, relay => relay.Dispose());
    }

    private static async Task UntilAsync(IAsyncEnumerator<TableChange> watch, string vm)
    {
        do
        {
            Assert.True(await watch.MoveNextAsync());
        }
        while (watch.Current.Kind != TableChangeKind.Vm || watch.Current.Name != vm);
    }

    [Fact]
    public async Task A_purged_key_is_in_no_revision_that_etcd_still_answers_for()
    {
        await using ITenantStore store = await OpenAsync();
        await store.StartAsync("acme", "v1");
        JsonElement read = await _cluster.CallAsync("/v3/kv/range", new JsonObject { ["key"] = Gateway.Encode("/kaslrmt/keys/acme") });
        long modified = Assert.Single(Gateway.Pairs(read)).Modified;
        await store.DoAsync(new StopVm("v1"));
        JsonObject past = new() { ["key"] = Gateway.Encode("/kaslrmt/keys/acme"), ["revision"] = $"{modified}" };
        GatewayFault fault = await Assert.ThrowsAsync<GatewayFault>(() => _cluster.CallAsync("/v3/kv/range", past));
        Assert.Equal(GatewayFault.OutOfRange, fault.Status);
    }

    private static async Task<int> ChurnAsync(ITenantStore store, int pairs)
    {
        await store.StartAsync("acme", "stays");
        int done = 0;
        for (; done < pairs; done++)
        {
            await store.StartAsync("acme", $"v{done}");
            await store.DoAsync(new StopVm($"v{done}"));
            await Task.Delay(10);
        }

        return done;
    }

    private async Task<ITenantStore> OpenAsync(string? location = null, EtcdAccess? access = null)
    {
        EtcdTenantStore store = await EtcdTenantStore.OpenAsync(EtcdLocation.Parse(location ?? _cluster.Location("kaslrmt")), access ?? Access, _scratch.Keys());
        await store.RenewHostAsync(Table.HostA, Table.Lease, Table.Tester);
        return store;
    }
}

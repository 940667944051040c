namespace KaslrMt.Tenants.Tests.Stores;

/// <summary>Long listings, and what comes back.</summary>
public abstract partial class TenantStoreTests
{
    [Fact]
    public async Task Long_listings_are_whole_and_in_order()
    {
        await using ITenantStore store = await WithHostsAsync();
        string[] names = [.. Enumerable.Range(0, 1100).Select(i => $"v{i:D4}")];
        foreach (string name in names)
        {
            await store.StartAsync($"t{name[1..3]}", name);
        }

        Assert.Equal(names, (await store.VmsAsync().AllAsync()).Select(vm => vm.Name));
        Assert.Equal(names[300..400], (await store.VmsAsync("t03").AllAsync()).Select(vm => vm.Name));
        Assert.Equal(11, (await store.TenantsAsync().AllAsync()).Count);
        await Table.SoundAsync(store);
    }

    [Fact]
    public async Task A_hosts_vms_are_all_listed_in_order_however_many_and_no_others()
    {
        await using ITenantStore store = await WithHostsAsync();
        string[] names = [.. Enumerable.Range(0, 1210).Select(i => $"v{i:D4}")];
        foreach (string name in names)
        {
            await store.StartAsync("acme", name, name[^1] == '0' ? "h-b" : "h-a");
        }

        foreach (string name in names[..20])
        {
            await store.RunAsync(name);
        }

        await store.DoAsync(new BeginMigration("v0003", "h-b"));
        await store.DoAsync(new BeginMigration("v0010", "h-a"));
        await store.DoAsync(new BeginMigration("v0005", "h-b"));
        await store.DoAsync(new FinishMigration("v0005", [ProcessMark.Current]));
        await store.DoAsync(new BeginMigration("v0007", "h-b"));
        await store.DoAsync(new AbortMigration("v0007"));
        await store.DoAsync(new StopVm("v0020"));

        Assert.Equal(names.Where(name => name is "v0010" || (name[^1] != '0' && name is not "v0005")), await HostAsync("h-a"));
        Assert.Equal(names.Where(name => name is "v0003" or "v0005" || (name[^1] == '0' && name is not "v0020")), (await HostAsync("h-b")).Order());
        Assert.Empty(await HostAsync("h-"));
        await Table.SoundAsync(store);

        async Task<IEnumerable<string>> HostAsync(string host) => (await store.VmsOfHostAsync(host).AllAsync()).Select(vm => vm.Name);
    }

    [Fact]
    public async Task A_vm_of_a_tenant_that_was_removed_and_made_anew_comes_back_beside_the_new_key()
    {
        await using ITenantStore store = await WithHostsAsync();
        for (int i = 0; i < 3; i++)
        {
            await store.StartAsync("acme", "v1");
            await store.DoAsync(new StopVm("v1"));
        }

        await store.StartAsync("acme", "v1");
        VmRecord evicted = (await store.FindVmAsync("v1"))!;
        await store.DoAsync(new StopVm("v1"));
        await store.DoAsync(new RemoveTenant("acme"));

        string key = await store.StartAsync("acme", "v2");
        await store.DoAsync(new ReattachVm(evicted));
        Assert.Equal((2L, 1L, true), await SummaryAsync(store, "acme"));
        Assert.Equal(key, await store.StartAsync("acme", "v3"));
        await Table.SoundAsync(store);
    }
}

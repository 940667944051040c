using KaslrMt.Tenants.Sqlite;

namespace KaslrMt.Tenants.Tests.Stores;

/// <summary>A location's scheme chooses the kind of store; a program adds kinds of its own.</summary>
public sealed class TenantStoreRegistryTests : IDisposable
{
    private readonly Scratch _scratch = Scratch.InMemory();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task A_kind_of_ones_own_is_opened_by_its_scheme_with_the_hosts_key_file()
    {
        List<(string? Store, string Keys)> opened = [];
        TenantStoreRegistry stores = TenantStoreRegistry.BuiltIn.With("own-2", (settings, keys, _) =>
        {
            opened.Add((settings.Store, keys.Path));
            return Task.FromResult<ITenantStore>(SqliteTenantStore.Open(_scratch.At("own.db"), keys));
        });
        await using TenantTable table = await TenantTable.JoinAsync(await stores.OpenAsync(Settings("own-2:a:b")), Settings("own-2:a:b"));
        Assert.Equal([("own-2:a:b", _scratch.At("state/kek"))], opened);
        Assert.Equal(table.Host.Id, Assert.Single(await table.Store.HostsAsync()).Id);
    }

    [Fact]
    public async Task Without_a_location_it_is_the_database_of_the_state_directory()
    {
        await using ITenantStore store = await TenantStoreRegistry.BuiltIn.OpenAsync(Settings(null));
        Assert.Equal($"sqlite:{_scratch.At("state/tenants.db")}", store.Location);
    }

    [Theory]
    [InlineData("own:a")]
    [InlineData("tenants.db")]
    [InlineData(":a")]
    [InlineData("")]
    [InlineData("SQLITE:a")]
    [InlineData("sqlite:")]
    [InlineData("etcd:a")]
    public async Task A_location_of_no_kind_is_refused(string location)
    {
        KaslrMtException refused = await Assert.ThrowsAsync<KaslrMtException>(() => TenantStoreRegistry.BuiltIn.OpenAsync(Settings(location)));
        Assert.Equal(TenantErrors.LocationInvalid, refused.Code);
    }

    [Theory]
    [InlineData("sqlite")]
    [InlineData("Own")]
    [InlineData("2own")]
    [InlineData("own:")]
    [InlineData("")]
    public void A_scheme_that_is_taken_or_not_legal_is_refused(string scheme) =>
        Assert.ThrowsAny<ArgumentException>(() => TenantStoreRegistry.BuiltIn.With(scheme, (_, _, _) => throw new NotSupportedException()));

    private TableSettings Settings(string? store) => new() { Store = store, StateDirectory = _scratch.At("state"), KeyFile = null };
}

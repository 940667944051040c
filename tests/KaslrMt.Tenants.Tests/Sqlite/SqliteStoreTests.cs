using KaslrMt.Tenants.Sqlite;
using KaslrMt.Tenants.Tests.Stores;

namespace KaslrMt.Tenants.Tests.Sqlite;

public sealed class SqliteStoreTests : TenantStoreTests, IDisposable
{
    private readonly Scratch _scratch = Scratch.InMemory();

    private protected override KeyRingFile Keys => _scratch.Keys();

    public void Dispose() => _scratch.Dispose();

    private protected override Task<ITenantStore> OpenAsync(StoreHooks? hooks = null) =>
        Task.Run<ITenantStore>(() => SqliteTenantStore.Open(_scratch.At("tenants.db"), Keys, hooks ?? StoreHooks.None));
}

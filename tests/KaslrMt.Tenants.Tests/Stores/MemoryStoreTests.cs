using MemoryStore;

namespace KaslrMt.Tenants.Tests.Stores;

/// <summary>The sample of a store of one's own, which sees only what other programs see, does what every store must do.</summary>
public sealed class MemoryStoreTests : TenantStoreTests, IDisposable
{
    private readonly Scratch _scratch = Scratch.InMemory();
    private readonly MemoryTable _table = new();

    private protected override KeyRingFile Keys => _scratch.Keys();

    public void Dispose() => _scratch.Dispose();

    private protected override Task<ITenantStore> OpenAsync(StoreHooks? hooks = null) =>
        Task.FromResult<ITenantStore>(MemoryTenantStore.Open(_table, Keys, hooks?.NewKey, hooks is null ? null : () => hooks.Step("collision")));
}

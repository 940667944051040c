using KaslrMt.Layout;

namespace KaslrMt.Tenants;

/// <summary>What a command came to.</summary>
/// <param name="Tenant">The tenant afterwards, or null when it was removed.</param>
/// <param name="Vm">The VM afterwards, or null when there is none.</param>
/// <param name="Key">What happened to the tenant's key.</param>
/// <param name="Changed">False when the state was so already.</param>
/// <param name="TenantKey">The key, for a VM that starts or is restored; else null.</param>
public sealed record Outcome(TenantRecord? Tenant, VmRecord? Vm, KeyEffect Key, bool Changed, TenantKey? TenantKey) : IDisposable
{
    /// <summary>Zeroes the key.</summary>
    public void Dispose() => TenantKey?.Dispose();

    /// <summary>The VM's and the tenant's names; a key is never shown.</summary>
    public override string ToString() => $"{Tenant?.Name}/{Vm?.Name}";
}

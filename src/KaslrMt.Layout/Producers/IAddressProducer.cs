namespace KaslrMt.Layout;

/// <summary>The paper's Address Producer: what makes a tenant's base out of the tenant's key. Deterministic.</summary>
public interface IAddressProducer
{
    /// <summary>The name in commands and reports.</summary>
    string Name { get; }

    /// <summary>The slot of a per-tenant region.</summary>
    /// <param name="key">The tenant key.</param>
    /// <param name="region">The region whose base is drawn.</param>
    /// <param name="slots">How many slots the region has, at least 1.</param>
    /// <returns>A slot below <paramref name="slots"/>.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There are no slots.</exception>
    ulong DrawSlot(TenantKey key, Region region, ulong slots);
}

namespace KaslrMt.Layout;

/// <summary>
/// The default producer: HKDF-SHA256 with a label for each region. Unbiased, and its draws are independent of each other.
/// </summary>
/// <remarks>The derivation, which is frozen as version 1, is described in <c>HkdfDraw</c> and in <c>docs/</c>.</remarks>
public sealed class HkdfAddressProducer : IAddressProducer
{
    /// <inheritdoc/>
    public string Name => "hkdf";

    /// <inheritdoc/>
    public ulong DrawSlot(TenantKey key, Region region, ulong slots)
    {
        ArgumentNullException.ThrowIfNull(key);
        return HkdfDraw.Slot(key.Reveal(), Scope.PerTenant, region, slots);
    }
}

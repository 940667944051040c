namespace KaslrMt.Layout;

/// <summary>What a tenant key gave one VM: for each per-tenant region the slot that was drawn, and among how many.</summary>
/// <remarks>
/// A VM can boot again on these without the key: a draw depends on key, region and the number of slots alone (<see cref="IAddressProducer"/>),
/// so the same number gives the same slot. Where the number has changed (another kernel, another memory size) only the key can tell.
/// As secret as the VM's layout, and no more: no key and no other tenant's base follows from it. Cleared on disposal.
/// </remarks>
public sealed class DerivedSlots : IDisposable
{
    private readonly Draw[] _draws;

    private DerivedSlots(Draw[] draws) => _draws = draws;

    /// <summary>The draws of a layout.</summary>
    public static DerivedSlots Of(KernelLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        return Of(layout.Regions.Where(region => region.Scope == Scope.PerTenant).Select(region => new Draw(region.Region, region.Slot, region.Slots)));
    }

    /// <summary>Draws that were kept. Those that cannot be are left out.</summary>
    public static DerivedSlots Of(IEnumerable<Draw> draws) => new([.. draws.Where(draw => Enum.IsDefined(draw.Region) && draw.Slot < draw.Slots)]);

    /// <summary>Whether this key gives all of them.</summary>
    public bool AreOf(TenantKey key, IAddressProducer producer)
    {
        ArgumentNullException.ThrowIfNull(producer);
        return _draws.All(draw => producer.DrawSlot(key, draw.Region, draw.Slots) == draw.Slot);
    }

    /// <summary>Clears them.</summary>
    public void Dispose() => Array.Clear(_draws);

    /// <summary>The type's name; slots give bases away.</summary>
    public override string ToString() => nameof(DerivedSlots);

    /// <exception cref="KaslrMtException">KMT1113: that was not drawn.</exception>
    internal ulong SlotOf(Region region, ulong slots)
    {
        foreach (Draw draw in _draws)
        {
            if (draw.Region == region && draw.Slots == slots)
            {
                return draw.Slot;
            }
        }

        throw new KaslrMtException(
            LayoutErrors.DrawUnknown,
            $"without the tenant key there is no base for {region.Name()}: the kernel or the memory is not the one the VM booted with before",
            "give the tenant key, or the earlier kernel");
    }

    /// <summary>One region's draw.</summary>
    /// <param name="Region">The region.</param>
    /// <param name="Slot">The slot drawn, below <paramref name="Slots"/>.</param>
    /// <param name="Slots">How many there were.</param>
    public readonly record struct Draw(Region Region, ulong Slot, ulong Slots)
    {
        /// <summary>The region's name; no slot.</summary>
        public override string ToString() => Region.Name();
    }
}

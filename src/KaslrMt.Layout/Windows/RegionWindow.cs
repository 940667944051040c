using System.Collections.Immutable;

namespace KaslrMt.Layout;

/// <summary>All places a region's base may take: one window, or for kernel-physical one for each free stretch of RAM.</summary>
/// <remarks>Slots are numbered through all windows from the lowest address up.</remarks>
public sealed class RegionWindow
{
    /// <summary>The windows, which must be sound, ascending and disjoint.</summary>
    /// <exception cref="KaslrMtException">KMT1207: they are not.</exception>
    public RegionWindow(Region region, params ReadOnlySpan<KaslrConfig> windows)
    {
        Region = region;
        Windows = [.. windows];
        ulong end = 0;
        foreach (KaslrConfig window in windows)
        {
            if (!window.IsSound || window.BaseOffset < end)
            {
                throw new KaslrMtException(
                    LayoutErrors.LayoutUnsound, $"the windows of {region.Name()} are unsound", "this is a fault of kaslrmt: report it");
            }

            end = window.BaseOffset + window.RangeSize;
            Slots += window.Slots;
        }
    }

    /// <summary>The region whose base this is.</summary>
    public Region Region { get; }

    /// <summary>The windows, ascending.</summary>
    public ImmutableArray<KaslrConfig> Windows { get; }

    /// <summary>How many bases all windows hold.</summary>
    public ulong Slots { get; }

    /// <summary>The base of a slot.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such slot.</exception>
    public ulong BaseOf(ulong slot)
    {
        foreach (KaslrConfig window in Windows)
        {
            if (slot < window.Slots)
            {
                return window.BaseOf(slot);
            }

            slot -= window.Slots;
        }

        throw new ArgumentOutOfRangeException(nameof(slot), "the region has no such slot");
    }

    /// <summary>Whether this address is one of the bases.</summary>
    public bool Contains(ulong address) => Windows.Any(window => window.Contains(address));

    /// <summary>The region's name; a window can give a neighbour's base away.</summary>
    public override string ToString() => Region.Name();
}

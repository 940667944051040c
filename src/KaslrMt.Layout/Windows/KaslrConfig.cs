using System.Numerics;

namespace KaslrMt.Layout;

/// <summary>A window that a base is drawn from: every <paramref name="Alignment"/> bytes in the range, one slot.</summary>
/// <param name="BaseOffset">The lowest base, an address in bytes, aligned.</param>
/// <param name="RangeSize">Bytes that the possible bases span: slots times alignment. The region itself may reach further.</param>
/// <param name="Alignment">Distance between neighbouring bases in bytes, a power of two.</param>
/// <param name="Flags">What kind of window this is.</param>
/// <remarks>The upper bound of some windows is another region's base, so <see cref="ToString"/> shows no number.</remarks>
public readonly record struct KaslrConfig(ulong BaseOffset, ulong RangeSize, uint Alignment, KaslrFlags Flags)
{
    /// <summary>How many bases the window holds.</summary>
    public ulong Slots => Alignment == 0 ? 0 : RangeSize / Alignment;

    /// <summary>Whether alignment is a power of two that divides both offset and size, and the window is neither empty nor wraps.</summary>
    public bool IsSound =>
        BitOperations.IsPow2(Alignment)
        && RangeSize != 0
        && ((BaseOffset | RangeSize) & (Alignment - 1)) == 0
        && BaseOffset <= ulong.MaxValue - RangeSize;

    /// <summary>The base of a slot.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The window has no such slot.</exception>
    public ulong BaseOf(ulong slot)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(slot, Slots);
        return BaseOffset + (slot * Alignment);
    }

    /// <summary>Whether this address is one of the window's bases: inside, and aligned.</summary>
    public bool Contains(ulong address) =>
        address >= BaseOffset && address - BaseOffset < RangeSize && (address & (Alignment - 1)) == 0;

    /// <summary>The type's name; a window can give a neighbour's base away.</summary>
    public override string ToString() => nameof(KaslrConfig);

    /// <summary>The window from a first base to a last one, both included.</summary>
    internal static KaslrConfig Between(ulong first, ulong last, uint alignment, KaslrFlags flags) =>
        new(first, checked(last - first + alignment), alignment, flags);
}

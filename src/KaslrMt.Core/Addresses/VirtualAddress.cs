using System.Globalization;

namespace KaslrMt;

/// <summary>A guest-virtual (kernel) address, x86-64, canonical form.</summary>
/// <param name="Value">The address in bytes.</param>
public readonly record struct VirtualAddress(ulong Value) : IComparable<VirtualAddress>
{
    /// <summary>The address <paramref name="bytes"/> further, wrapping at 2^64 as the processor does.</summary>
    public static VirtualAddress operator +(VirtualAddress address, ulong bytes) => new(unchecked(address.Value + bytes));

    /// <summary>The address <paramref name="bytes"/> before, wrapping at 2^64 as the processor does.</summary>
    public static VirtualAddress operator -(VirtualAddress address, ulong bytes) => new(unchecked(address.Value - bytes));

    /// <summary>The distance in bytes from <paramref name="right"/> up to <paramref name="left"/>, wrapping at 2^64.</summary>
    public static ulong operator -(VirtualAddress left, VirtualAddress right) => unchecked(left.Value - right.Value);

    /// <summary>Whether <paramref name="left"/> lies below <paramref name="right"/>.</summary>
    public static bool operator <(VirtualAddress left, VirtualAddress right) => left.Value < right.Value;

    /// <summary>Whether <paramref name="left"/> lies above <paramref name="right"/>.</summary>
    public static bool operator >(VirtualAddress left, VirtualAddress right) => left.Value > right.Value;

    /// <summary>Whether <paramref name="left"/> lies at or below <paramref name="right"/>.</summary>
    public static bool operator <=(VirtualAddress left, VirtualAddress right) => left.Value <= right.Value;

    /// <summary>Whether <paramref name="left"/> lies at or above <paramref name="right"/>.</summary>
    public static bool operator >=(VirtualAddress left, VirtualAddress right) => left.Value >= right.Value;

    /// <inheritdoc/>
    public int CompareTo(VirtualAddress other) => Value.CompareTo(other.Value);

    /// <summary>The address as the project writes it everywhere: <c>0x</c> and 16 lower-case hex digits.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"0x{Value:x16}");
}

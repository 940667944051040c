using System.Globalization;

namespace KaslrMt;

/// <summary>A guest-physical address.</summary>
/// <param name="Value">The address in bytes.</param>
public readonly record struct PhysicalAddress(ulong Value) : IComparable<PhysicalAddress>
{
    /// <summary>The address <paramref name="bytes"/> further, wrapping at 2^64 as the processor does.</summary>
    public static PhysicalAddress operator +(PhysicalAddress address, ulong bytes) => new(unchecked(address.Value + bytes));

    /// <summary>The address <paramref name="bytes"/> before, wrapping at 2^64 as the processor does.</summary>
    public static PhysicalAddress operator -(PhysicalAddress address, ulong bytes) => new(unchecked(address.Value - bytes));

    /// <summary>The distance in bytes from <paramref name="right"/> up to <paramref name="left"/>, wrapping at 2^64.</summary>
    public static ulong operator -(PhysicalAddress left, PhysicalAddress right) => unchecked(left.Value - right.Value);

    /// <summary>Whether <paramref name="left"/> lies below <paramref name="right"/>.</summary>
    public static bool operator <(PhysicalAddress left, PhysicalAddress right) => left.Value < right.Value;

    /// <summary>Whether <paramref name="left"/> lies above <paramref name="right"/>.</summary>
    public static bool operator >(PhysicalAddress left, PhysicalAddress right) => left.Value > right.Value;

    /// <summary>Whether <paramref name="left"/> lies at or below <paramref name="right"/>.</summary>
    public static bool operator <=(PhysicalAddress left, PhysicalAddress right) => left.Value <= right.Value;

    /// <summary>Whether <paramref name="left"/> lies at or above <paramref name="right"/>.</summary>
    public static bool operator >=(PhysicalAddress left, PhysicalAddress right) => left.Value >= right.Value;

    /// <inheritdoc/>
    public int CompareTo(PhysicalAddress other) => Value.CompareTo(other.Value);

    /// <summary>The address as the project writes it everywhere: <c>0x</c> and 16 lower-case hex digits.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"0x{Value:x16}");
}

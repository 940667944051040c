using System.Globalization;

namespace KaslrMt;

/// <summary>A size in bytes, written as operators write it: <c>512M</c>, <c>2G</c> (powers of 1024).</summary>
/// <param name="Bytes">The size in bytes.</param>
public readonly record struct ByteSize(ulong Bytes) : IComparable<ByteSize>
{
    /// <summary>1 KiB in bytes.</summary>
    public const ulong KiB = 1UL << 10;

    /// <summary>1 MiB in bytes.</summary>
    public const ulong MiB = 1UL << 20;

    /// <summary>1 GiB in bytes.</summary>
    public const ulong GiB = 1UL << 30;

    /// <summary>1 TiB in bytes.</summary>
    public const ulong TiB = 1UL << 40;

    /// <summary>Reads <c>512M</c>, <c>2G</c>, <c>1T</c>, <c>64K</c>; digits alone are MiB, as in QEMU's <c>-m</c>.</summary>
    /// <returns>False when the text is none of these, is zero, or exceeds 2^63 bytes.</returns>
    public static bool TryParse(string? text, out ByteSize size)
    {
        size = default;
        if (string.IsNullOrEmpty(text))
        {
            return false;
        }

        ReadOnlySpan<char> digits = text.EndsWith('B') && text.Length > 1 ? text.AsSpan(0, text.Length - 1) : text;
        digits = digits.EndsWith("i", StringComparison.Ordinal) ? digits[..^1] : digits;
        if (digits.IsEmpty)
        {
            return false;
        }

        ulong unit = char.ToUpperInvariant(digits[^1]) switch
        {
            'K' => KiB,
            'M' => MiB,
            'G' => GiB,
            'T' => TiB,
            _ => 0,
        };
        digits = unit == 0 ? digits : digits[..^1];
        unit = unit == 0 ? MiB : unit;
        if (!ulong.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out ulong count)
            || count == 0 || count > (1UL << 63) / unit)
        {
            return false;
        }

        size = new ByteSize(count * unit);
        return true;
    }

    /// <summary>Whether <paramref name="left"/> is smaller than <paramref name="right"/>.</summary>
    public static bool operator <(ByteSize left, ByteSize right) => left.Bytes < right.Bytes;

    /// <summary>Whether <paramref name="left"/> is larger than <paramref name="right"/>.</summary>
    public static bool operator >(ByteSize left, ByteSize right) => left.Bytes > right.Bytes;

    /// <summary>Whether <paramref name="left"/> is at most <paramref name="right"/>.</summary>
    public static bool operator <=(ByteSize left, ByteSize right) => left.Bytes <= right.Bytes;

    /// <summary>Whether <paramref name="left"/> is at least <paramref name="right"/>.</summary>
    public static bool operator >=(ByteSize left, ByteSize right) => left.Bytes >= right.Bytes;

    /// <inheritdoc/>
    public int CompareTo(ByteSize other) => Bytes.CompareTo(other.Bytes);

    /// <summary>The largest whole unit: <c>512M</c>, <c>2G</c>, <c>100K</c>; bytes with <c>B</c> where none divides.</summary>
    public override string ToString()
    {
        (ulong unit, string suffix) = Bytes switch
        {
            0 => (1UL, "B"),
            _ when Bytes % TiB == 0 => (TiB, "T"),
            _ when Bytes % GiB == 0 => (GiB, "G"),
            _ when Bytes % MiB == 0 => (MiB, "M"),
            _ when Bytes % KiB == 0 => (KiB, "K"),
            _ => (1UL, "B"),
        };
        return string.Create(CultureInfo.InvariantCulture, $"{Bytes / unit}{suffix}");
    }
}

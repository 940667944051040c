namespace KaslrMt;

/// <summary>A run of guest-physical addresses: <c>[Start, Start + Length)</c>.</summary>
/// <param name="Start">The first address.</param>
/// <param name="Length">The length in bytes; <c>Start + Length</c> must not pass 2^64.</param>
public readonly record struct PhysicalRange(PhysicalAddress Start, ulong Length)
{
    /// <summary>The first address behind the range.</summary>
    public PhysicalAddress End => Start + Length;

    /// <summary>The range from <paramref name="start"/> up to, not including, <paramref name="end"/>.</summary>
    public static PhysicalRange Between(ulong start, ulong end) => new(new PhysicalAddress(start), end - start);

    /// <summary>Whether the whole of <c>[address, address + length)</c> lies inside; safe against overflow.</summary>
    public bool Contains(PhysicalAddress address, ulong length = 1) =>
        address >= Start && address - Start <= Length && length <= Length - (address - Start);

    /// <summary>Whether the two ranges have an address in common. An empty range has none.</summary>
    public bool Overlaps(PhysicalRange other) =>
        Length != 0 && other.Length != 0 && (other.Start >= Start ? other.Start - Start < Length : Start - other.Start < other.Length);

    /// <summary>Start and end, the end not included.</summary>
    public override string ToString() => $"{Start}-{End}";
}

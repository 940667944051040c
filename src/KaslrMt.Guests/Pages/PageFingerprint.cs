using System.Globalization;
using System.IO.Hashing;

namespace KaslrMt.Guests;

/// <summary>A 128-bit fingerprint of a page's content: XXH3-128 of its 4096 bytes, seed 0 (xxHash specification 0.2.0).</summary>
/// <remarks>
/// Of a billion pages no two differing ones are expected to share one, except those made to: XXH3 is not cryptographic, and who writes a
/// guest's memory can make collisions. Equal fingerprints are a measurement; what acts on equality compares bytes.
/// </remarks>
/// <param name="Low">The low half.</param>
/// <param name="High">The high half.</param>
public readonly record struct PageFingerprint(ulong Low, ulong High)
{
    /// <summary>The fingerprint of a page of zeros.</summary>
    public static PageFingerprint Zero { get; } = Of(new byte[PageCensus.PageSize]);

    /// <summary>The fingerprint of a page.</summary>
    /// <param name="page">Its 4096 bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">It has more or fewer.</exception>
    public static PageFingerprint Of(ReadOnlySpan<byte> page)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(page.Length, PageCensus.PageSize);
        UInt128 hash = XxHash128.HashToUInt128(page);
        return new PageFingerprint((ulong)hash, (ulong)(hash >> 64));
    }

    /// <summary>32 digits, as <c>xxh128sum</c> prints them.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{High:x16}{Low:x16}");
}

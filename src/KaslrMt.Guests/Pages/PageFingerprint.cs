using System.Globalization;

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
    public static PageFingerprint Zero { get; } = PageHash.Of(new byte[PageCensus.PageSize]);

    /// <summary>The fingerprint of a page.</summary>
    /// <param name="page">Its 4096 bytes.</param>
    public static PageFingerprint Of(ReadOnlySpan<byte> page) => PageHash.Of(page);

    /// <summary>32 digits, as <c>xxh128sum</c> prints them.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{High:x16}{Low:x16}");
}

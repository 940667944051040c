using System.Collections.Immutable;
using System.Globalization;

namespace KaslrMt.Layout;

/// <summary>Which regions are per-tenant and which per-VM: the bitmap of the paper's proof of concept.</summary>
/// <remarks>
/// Written as six binary digits, left to right: modules, vmemmap, vmalloc, physmap, kernel virtual, kernel physical; 1 is per-tenant.
/// <c>default(Policy)</c> is <c>000000</c>, everything per-VM, as stock KASLR does.
/// </remarks>
public readonly record struct Policy
{
    /// <summary>Digits in a written policy.</summary>
    public const int Digits = 6;

    private const int Combinations = 1 << Digits;
    private readonly byte _bits;

    private Policy(int bits) => _bits = (byte)bits;

    /// <summary><c>110010</c>, which the paper's section 7 recommends: modules, vmemmap and kernel virtual are per-tenant.</summary>
    public static Policy Default { get; } = new(0b110010);

    /// <summary>All 64 policies, from <c>000000</c> to <c>111111</c>.</summary>
    public static ImmutableArray<Policy> All { get; } = [.. Enumerable.Range(0, Combinations).Select(bits => new Policy(bits))];

    /// <summary>Whether at least one region is per-tenant, so that a tenant key is needed.</summary>
    public bool NeedsTenantKey => _bits != 0;

    /// <summary>Whether at least one region is per-VM, so that a VM seed is needed.</summary>
    public bool NeedsVmSeed => _bits != Combinations - 1;

    /// <summary>Reads six digits of 0 and 1, nothing else around them.</summary>
    /// <returns>False for anything else.</returns>
    public static bool TryParse(ReadOnlySpan<char> text, out Policy policy)
    {
        policy = default;
        if (text.Length != Digits || text.ContainsAnyExcept('0', '1'))
        {
            return false;
        }

        int bits = 0;
        foreach (char digit in text)
        {
            bits = (bits << 1) | (digit - '0');
        }

        policy = new Policy(bits);
        return true;
    }

    /// <summary>Reads six digits of 0 and 1.</summary>
    /// <exception cref="KaslrMtException">KMT1001: the text is something else; the message says what was found and expected.</exception>
    public static Policy Parse(ReadOnlySpan<char> text)
    {
        if (TryParse(text, out Policy policy))
        {
            return policy;
        }

        // Only text made of 0 and 1 is quoted: a key typed in the wrong place must not end up in a message.
        string found = text.ContainsAnyExcept('0', '1') || text.Length > 32
            ? string.Create(CultureInfo.InvariantCulture, $"{text.Length} characters, not all of them 0 or 1")
            : string.Create(CultureInfo.InvariantCulture, $"'{text}' ({text.Length} digits)");
        throw new KaslrMtException(
            LayoutErrors.PolicyMalformed,
            $"a policy is six digits of 0 and 1, found {(text.IsEmpty ? "nothing" : found)}",
            "write one digit (1 = per tenant) for modules, vmemmap, vmalloc, physmap, kernel virtual, kernel physical, such as 110010");
    }

    /// <summary>Who shares this region's base.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is no region.</exception>
    public Scope ScopeOf(Region region) => Enum.IsDefined(region)
        ? (Scope)((_bits >> (int)region) & 1)
        : throw new ArgumentOutOfRangeException(nameof(region), region, "not a region");

    /// <summary>The six digits, such as <c>110010</c>.</summary>
    public override string ToString() => Convert.ToString(_bits, 2).PadLeft(Digits, '0');
}

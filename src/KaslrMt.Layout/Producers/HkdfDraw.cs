using System.Security.Cryptography;

namespace KaslrMt.Layout;

/// <summary>A draw from HKDF-SHA256 (RFC 5869), version 1. This derivation is a promise: a key gives these bases for ever.</summary>
/// <remarks>
/// <para>PRK = HKDF-Extract(salt = "kaslrmt/v1/" + scope name, IKM = the key's characters or the seed's 32 bytes).</para>
/// <para>
/// Stream = HKDF-Expand(PRK, info = "kaslrmt/v1/" + region name, L = 64 bytes), read as eight
/// big-endian words by <see cref="UniformSlot"/>.
/// </para>
/// <para>
/// The salt keeps keys and seeds apart, so that no choice of one yields the stream of the other; the info keeps regions apart. Nothing
/// else enters, not the kernel, nor the memory size: what a region's slots are decides only how the same stream is read. HKDF-Expand's
/// output does not depend on its length, so a longer stream would begin with this one.
/// </para>
/// </remarks>
internal static class HkdfDraw
{
    // A word is rejected with a probability below 2^-40 (fewer than 2^24 slots), all eight with one below 2^-320.
    private const int StreamSize = 8 * sizeof(ulong);

    internal static ulong Slot(ReadOnlySpan<byte> secret, Scope scope, Region region, ulong slots)
    {
        Span<byte> prk = stackalloc byte[SHA256.HashSizeInBytes];
        Span<byte> stream = stackalloc byte[StreamSize];
        try
        {
            Extract(secret, scope, prk);
            Expand(prk, region, stream);
            return UniformSlot.TryDraw(stream, slots, out ulong slot)
                ? slot
                : throw new KaslrMtException(
                    LayoutErrors.DrawExhausted, $"no word of the stream for {region.Name()} is acceptable", "report this");
        }
        finally
        {
            CryptographicOperations.ZeroMemory(prk);
            CryptographicOperations.ZeroMemory(stream);
        }
    }

    /// <summary>The first step: what all of a secret's streams are made of.</summary>
    internal static void Extract(ReadOnlySpan<byte> secret, Scope scope, Span<byte> prk) => HKDF.Extract(HashAlgorithmName.SHA256, secret, Salt(scope), prk);

    /// <summary>The second step: a region's stream.</summary>
    internal static void Expand(ReadOnlySpan<byte> prk, Region region, Span<byte> stream) => HKDF.Expand(HashAlgorithmName.SHA256, prk, stream, Info(region));

    // Written out, not put together from names: whoever renames a region must not change what keys give.
    private static ReadOnlySpan<byte> Salt(Scope scope) => scope switch
    {
        Scope.PerVm => "kaslrmt/v1/per-vm"u8,
        Scope.PerTenant => "kaslrmt/v1/per-tenant"u8,
        _ => throw new ArgumentOutOfRangeException(nameof(scope), scope, "not a scope"),
    };

    private static ReadOnlySpan<byte> Info(Region region) => region switch
    {
        Region.KernelPhysical => "kaslrmt/v1/kernel-physical"u8,
        Region.KernelVirtual => "kaslrmt/v1/kernel-virtual"u8,
        Region.Physmap => "kaslrmt/v1/physmap"u8,
        Region.Vmalloc => "kaslrmt/v1/vmalloc"u8,
        Region.Vmemmap => "kaslrmt/v1/vmemmap"u8,
        Region.Modules => "kaslrmt/v1/modules"u8,
        _ => throw new ArgumentOutOfRangeException(nameof(region), region, "not a region"),
    };
}

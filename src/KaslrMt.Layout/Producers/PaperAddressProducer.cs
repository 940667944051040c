using System.Buffers.Binary;
using System.Security.Cryptography;

namespace KaslrMt.Layout;

/// <summary>The paper's own producer (section 7, figure 3), kept for comparison only: a chain of SHA-1 digests.</summary>
/// <remarks>
/// <para>
/// SHA-1 of the key gives the pseudo-random number for the kernel's virtual base, SHA-1 of key + 1 that for vmemmap, of key + 2 that for
/// modules. The number modulo the slots is the slot, as in the paper's listing 2 and in the stock kernel.
/// </para>
/// <para>
/// The paper leaves open how a key of characters is incremented and which part of the digest is used; here the key is one big-endian
/// number, so its last byte is incremented, and the first eight bytes of the digest are read as x86 would (little-endian). It also
/// names only the three regions of its policy; so that all 64 policies work, physmap, vmalloc and kernel-physical follow as key + 3,
/// + 4, + 5. (The authors' public patch differs from the paper: it uses xxHash64 with a counting seed.)
/// </para>
/// <para>
/// Reproduced with its weaknesses: modulo bias (below 2^-40, not measurable), and related keys: the vmemmap number of one
/// key is the kernel-virtual number of the key whose last character is the next one.
/// </para>
/// </remarks>
public sealed class PaperAddressProducer : IAddressProducer
{
    /// <inheritdoc/>
    public string Name => "paper";

    /// <inheritdoc/>
    public ulong DrawSlot(TenantKey key, Region region, ulong slots)
    {
        ArgumentNullException.ThrowIfNull(key);
        ArgumentOutOfRangeException.ThrowIfZero(slots);
        Span<byte> digest = stackalloc byte[SHA1.HashSizeInBytes];
        try
        {
            Digest(key.Reveal(), region, digest);
            return BinaryPrimitives.ReadUInt64LittleEndian(digest) % slots;
        }
        finally
        {
            CryptographicOperations.ZeroMemory(digest);
        }
    }

    /// <summary>The digest that a region's number is read from.</summary>
    internal static void Digest(ReadOnlySpan<byte> key, Region region, Span<byte> digest)
    {
        Span<byte> number = stackalloc byte[TenantKey.MaximumLength];
        try
        {
            number = number[..key.Length];
            key.CopyTo(number);

            // A key's last byte is at most 0x7e, so adding 5 never carries.
            number[^1] += PlaceInChain(region);
            HashAsThePaperDoes(number, digest);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(number);
        }
    }

#pragma warning disable CA5350 // SHA-1 is what the paper uses; this producer exists to compare with it.
    private static void HashAsThePaperDoes(ReadOnlySpan<byte> number, Span<byte> digest) => SHA1.HashData(number, digest);
#pragma warning restore CA5350

    private static byte PlaceInChain(Region region) => region switch
    {
        Region.KernelVirtual => 0,
        Region.Vmemmap => 1,
        Region.Modules => 2,
        Region.Physmap => 3,
        Region.Vmalloc => 4,
        Region.KernelPhysical => 5,
        _ => throw new ArgumentOutOfRangeException(nameof(region), region, "not a region"),
    };
}

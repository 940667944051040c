using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;

namespace KaslrMt.Layout;

/// <summary>A VM's secret for one boot, from which every per-VM base follows.</summary>
/// <remarks>256 random bits; a fresh one for every boot. Shown nowhere, zeroed on disposal, equal to itself only.</remarks>
public sealed class VmSeed : IDisposable
{
    /// <summary>Length in bytes.</summary>
    public const int Size = 32;

    private readonly SecretBytes _bytes;

    private VmSeed(SecretBytes bytes) => _bytes = bytes;

    /// <summary>Draws a new seed from the system's generator.</summary>
    public static VmSeed Generate()
    {
        var bytes = new SecretBytes(Size);
        RandomNumberGenerator.Fill(bytes.Span);
        return new VmSeed(bytes);
    }

    /// <summary>Reads exactly 64 hexadecimal digits, in either case; this makes a run repeatable.</summary>
    /// <exception cref="KaslrMtException">
    /// KMT1007: the length is another, or a character is no hexadecimal digit; its position is told.
    /// </exception>
    public static VmSeed FromHex(ReadOnlySpan<char> hex)
    {
        if (hex.Length != 2 * Size)
        {
            throw Malformed(
                string.Create(CultureInfo.InvariantCulture, $"a VM seed is {2 * Size} hexadecimal digits, found {hex.Length} characters"));
        }

        for (int i = 0; i < hex.Length; i++)
        {
            if (!char.IsAsciiHexDigit(hex[i]))
            {
                throw Malformed(
                    string.Create(CultureInfo.InvariantCulture, $"a VM seed is {2 * Size} hexadecimal digits, character {i + 1} is none"));
            }
        }

        var bytes = new SecretBytes(Size);
        Convert.FromHexString(hex, bytes.Span, out _, out _);
        return new VmSeed(bytes);
    }

    /// <summary>The seed of a VM's boot: a guest that reboots gets new per-VM bases, repeatably.</summary>
    /// <param name="boot">How often the VM booted before; 0 gives a copy of this seed.</param>
    /// <returns>A seed of its own, which the caller disposes of.</returns>
    public VmSeed ForBoot(int boot)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(boot);
        var derived = new SecretBytes(_bytes.Span);
        if (boot > 0)
        {
            Span<byte> info = stackalloc byte["kaslrmt/v1/boot/"u8.Length + sizeof(int)];
            "kaslrmt/v1/boot/"u8.CopyTo(info);
            BinaryPrimitives.WriteInt32BigEndian(info[^sizeof(int)..], boot);
            HKDF.DeriveKey(HashAlgorithmName.SHA256, _bytes.Span, derived.Span, salt: [], info);
        }

        return new VmSeed(derived);
    }

    /// <summary>The seed itself, for those who derive from it. Valid until disposal.</summary>
    /// <exception cref="ObjectDisposedException">The seed was disposed of.</exception>
    public ReadOnlySpan<byte> Reveal() => _bytes.Span;

    /// <summary>Zeroes the seed.</summary>
    public void Dispose() => _bytes.Dispose();

    /// <summary>The type's name; a seed is never shown.</summary>
    public override string ToString() => nameof(VmSeed);

    private static KaslrMtException Malformed(string problem) =>
        new(
            LayoutErrors.SeedMalformed,
            problem,
            "give 32 bytes as hexadecimal digits without a prefix, or leave the seed out to have one drawn");
}

using System.Buffers.Binary;
using System.Security.Cryptography;

namespace KaslrMt.Tenants;

/// <summary>AES-256-GCM under a key of its own for each sealing: salt (16) ‖ nonce (12) ‖ ciphertext ‖ tag (16).</summary>
/// <remarks>
/// The key-encryption key never meets GCM itself: HKDF-SHA256 with a random salt makes a key for this one message, so the number of messages
/// under one key-encryption key is not bounded by GCM's random nonces (NIST SP 800-38D, section 8.3). The ciphers used last are kept, but no secret that
/// they opened: deriving a cipher costs more than all else, and an attacker that reads them here reads the key-encryption keys, too.
/// Not for several threads at once.
/// </remarks>
/// <param name="ring">The key-encryption keys; the caller's.</param>
internal sealed class Envelope(KeyRing ring) : IDisposable
{
    private const int SaltSize = 16;
    private const int NonceSize = 12;
    private const int TagSize = 16;
    private const int KeySize = 32;
    private const int Kept = 64;

    private readonly Dictionary<(int Version, UInt128 Salt), AesGcm> _ciphers = [];

    private static ReadOnlySpan<byte> Purpose => "kaslrmt/envelope/1"u8;

    /// <summary>Seals a secret; <paramref name="bound"/> is not stored, and must be the same to open it again.</summary>
    internal byte[] Seal(int version, ReadOnlySpan<byte> secret, ReadOnlySpan<byte> bound)
    {
        byte[] sealedBytes = new byte[SaltSize + NonceSize + secret.Length + TagSize];
        Span<byte> rest = sealedBytes;
        RandomNumberGenerator.Fill(rest[..(SaltSize + NonceSize)]);
        CipherOf(version, rest[..SaltSize])
            .Encrypt(rest.Slice(SaltSize, NonceSize), secret, rest.Slice(SaltSize + NonceSize, secret.Length), rest[^TagSize..], bound);
        return sealedBytes;
    }

    /// <summary>Opens an envelope of <see cref="Seal"/>.</summary>
    /// <returns>The secret in a pinned array, which the caller zeroes; null when the key, the bytes or those they are bound to are others.</returns>
    internal byte[]? Open(int version, ReadOnlySpan<byte> sealedBytes, ReadOnlySpan<byte> bound)
    {
        byte[] secret = GC.AllocateUninitializedArray<byte>(Math.Max(0, LengthOf(sealedBytes)), pinned: true);
        return Open(version, sealedBytes, bound, secret) < 0 ? null : secret;
    }

    /// <summary>Opens an envelope of <see cref="Seal"/> into the caller's memory, which the caller zeroes.</summary>
    /// <returns>The secret's length; -1 when the key, the bytes or those they are bound to are others, or the memory is too short.</returns>
    internal int Open(int version, ReadOnlySpan<byte> sealedBytes, ReadOnlySpan<byte> bound, Span<byte> secret)
    {
        int length = LengthOf(sealedBytes);
        if (length < 0 || length > secret.Length)
        {
            return -1;
        }

        try
        {
            CipherOf(version, sealedBytes[..SaltSize]).Decrypt(
                sealedBytes.Slice(SaltSize, NonceSize), sealedBytes.Slice(SaltSize + NonceSize, length), sealedBytes[^TagSize..], secret[..length], bound);
            return length;
        }
        catch (AuthenticationTagMismatchException)
        {
            return -1;
        }
    }

    private static int LengthOf(ReadOnlySpan<byte> sealedBytes) => sealedBytes.Length - SaltSize - NonceSize - TagSize;

    /// <summary>Clears the ciphers.</summary>
    public void Dispose() => Forget();

    private AesGcm CipherOf(int version, ReadOnlySpan<byte> salt)
    {
        (int, UInt128) name = (version, BinaryPrimitives.ReadUInt128BigEndian(salt));
        if (_ciphers.TryGetValue(name, out AesGcm? known))
        {
            return known;
        }

        if (_ciphers.Count == Kept)
        {
            Forget();
        }

        Span<byte> own = stackalloc byte[KeySize];
        HKDF.DeriveKey(HashAlgorithmName.SHA256, ring[version], own, salt, Purpose);
        var cipher = new AesGcm(own, TagSize);
        CryptographicOperations.ZeroMemory(own);
        _ciphers.Add(name, cipher);
        return cipher;
    }

    private void Forget()
    {
        foreach (AesGcm cipher in _ciphers.Values)
        {
            cipher.Dispose();
        }

        _ciphers.Clear();
    }
}

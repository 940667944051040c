using System.Security.Cryptography;

namespace KaslrMt.Tenants;

/// <summary>AES-256-GCM under a key of its own for each sealing: salt (16) ‖ nonce (12) ‖ ciphertext ‖ tag (16).</summary>
/// <remarks>
/// The key-encryption key never meets GCM itself: HKDF-SHA256 with a random salt makes a key for this one message, so the number of messages
/// under one key-encryption key is not bounded by GCM's random nonces (NIST SP 800-38D, section 8.3).
/// </remarks>
internal static class Envelope
{
    private const int SaltSize = 16;
    private const int NonceSize = 12;
    private const int TagSize = 16;
    private const int KeySize = 32;

    private static ReadOnlySpan<byte> Purpose => "kaslrmt/envelope/1"u8;

    /// <summary>Seals a secret; <paramref name="bound"/> is not stored, and must be the same to open it again.</summary>
    internal static byte[] Seal(ReadOnlySpan<byte> key, ReadOnlySpan<byte> secret, ReadOnlySpan<byte> bound)
    {
        byte[] sealedBytes = new byte[SaltSize + NonceSize + secret.Length + TagSize];
        Span<byte> rest = sealedBytes;
        RandomNumberGenerator.Fill(rest[..(SaltSize + NonceSize)]);
        Span<byte> own = stackalloc byte[KeySize];
        HKDF.DeriveKey(HashAlgorithmName.SHA256, key, own, rest[..SaltSize], Purpose);
        using (var aes = new AesGcm(own, TagSize))
        {
            aes.Encrypt(rest.Slice(SaltSize, NonceSize), secret, rest.Slice(SaltSize + NonceSize, secret.Length), rest[^TagSize..], bound);
        }

        CryptographicOperations.ZeroMemory(own);
        return sealedBytes;
    }

    /// <summary>Opens what <see cref="Seal"/> made.</summary>
    /// <returns>The secret in a pinned array, which the caller zeroes; null when the key, the bytes or what they are bound to is another.</returns>
    internal static byte[]? Open(ReadOnlySpan<byte> key, ReadOnlySpan<byte> sealedBytes, ReadOnlySpan<byte> bound)
    {
        int length = sealedBytes.Length - SaltSize - NonceSize - TagSize;
        if (length < 0)
        {
            return null;
        }

        byte[] secret = GC.AllocateUninitializedArray<byte>(length, pinned: true);
        Span<byte> own = stackalloc byte[KeySize];
        HKDF.DeriveKey(HashAlgorithmName.SHA256, key, own, sealedBytes[..SaltSize], Purpose);
        try
        {
            using var aes = new AesGcm(own, TagSize);
            aes.Decrypt(sealedBytes.Slice(SaltSize, NonceSize), sealedBytes.Slice(SaltSize + NonceSize, length), sealedBytes[^TagSize..], secret, bound);
            return secret;
        }
        catch (AuthenticationTagMismatchException)
        {
            return null;
        }
        finally
        {
            CryptographicOperations.ZeroMemory(own);
        }
    }
}

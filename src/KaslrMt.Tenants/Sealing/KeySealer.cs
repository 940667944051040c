using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using KaslrMt.Layout;

namespace KaslrMt.Tenants;

/// <summary>Seals tenants' keys for one store, and opens them.</summary>
/// <remarks>
/// An envelope is bound to the store, the tenant's name, the generation and the version of the key-encryption key: moved to another row, or
/// altered, it does not open. A whole store put back to an earlier state is not noticed. Not for several threads at once.
/// </remarks>
public sealed class KeySealer : IDisposable
{
    private const int Kept = 64;

    private readonly KeyRing _ring;
    private readonly Envelope _envelope;
    private readonly byte[] _fingerprintKey;
    private readonly IncrementalHash _fingerprints;

    // Sealed keys, by tenant, whose fingerprint was found to be their own. Nothing of it is secret.
    private readonly Dictionary<string, SealedKey> _known = [];

    /// <summary>Opens a store's seal.</summary>
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.KeyWrong"/>, <see cref="TenantErrors.KeyVersionMissing"/>.</exception>
    public KeySealer(KeyRing ring, StoreSeal seal)
    {
        _ring = ring;
        Seal = seal;
        _envelope = new Envelope(ring);
        _fingerprintKey = _envelope.Open(seal.KekVersion, seal.FingerprintKey, Bound(seal.StoreId, "fingerprints", 0, seal.KekVersion))
            ?? throw new KaslrMtException(
                TenantErrors.KeyWrong,
                $"the store is not sealed with this host's key-encryption key {seal.KekVersion}",
                $"give the file of keys that the store was made with ({KeyRingFile.Variable} names it), or restore the store that belongs to these keys");
        _fingerprints = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, _fingerprintKey);
    }

    /// <summary>Gets the seal that this sealer works under.</summary>
    public StoreSeal Seal { get; }

    /// <summary>Gets the newest key-encryption key's version on this host.</summary>
    public int NewestVersion => _ring.Newest;

    /// <summary>Returns a new store's seal.</summary>
    public static StoreSeal NewSeal(KeyRing ring)
    {
        Span<byte> key = stackalloc byte[KeyRing.KeySize];
        RandomNumberGenerator.Fill(key);
        StoreSeal seal = MakeSeal(ring, Guid.NewGuid(), ring.Newest, key);
        CryptographicOperations.ZeroMemory(key);
        return seal;
    }

    /// <summary>Returns this seal under the newest key-encryption key.</summary>
    public StoreSeal Renewed() => MakeSeal(_ring, Seal.StoreId, _ring.Newest, _fingerprintKey);

    /// <summary>Returns a sealer of the same keys under another seal of the same store.</summary>
    public KeySealer Under(StoreSeal seal) => new(_ring, seal);

    /// <summary>Seals a key for a tenant.</summary>
    public SealedKey SealKey(string tenant, long generation, TenantKey key)
    {
        byte[] bytes = _envelope.Seal(Seal.KekVersion, key.Reveal(), Bound(Seal.StoreId, tenant, generation, Seal.KekVersion));
        return new SealedKey(generation, Seal.KekVersion, bytes, Fingerprint(key.Reveal()));
    }

    /// <summary>Opens a tenant's key.</summary>
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.SealBroken"/>, <see cref="TenantErrors.KeyVersionMissing"/>.</exception>
    public TenantKey OpenKey(string tenant, SealedKey key)
    {
        // On the stack: nothing moves it, and pinned memory of the heap costs more than the cipher.
        Span<byte> secret = stackalloc byte[TenantKey.MaximumLength];
        int length = _envelope.Open(key.KekVersion, key.Bytes, Bound(Seal.StoreId, tenant, key.Generation, key.KekVersion), secret);
        try
        {
            return length >= 0 && IsItsOwn(tenant, key, secret[..length])
                ? TenantKey.Parse(secret[..length])
                : throw new KaslrMtException(
                    TenantErrors.SealBroken,
                    $"the sealed key of tenant '{tenant}' was altered, or is another row's",
                    "another program wrote to the store: restore a backup, or stop the tenant's VMs to have a new key made");
        }
        finally
        {
            CryptographicOperations.ZeroMemory(secret);
        }
    }

    /// <summary>Returns the same key in a new envelope, under this sealer's version.</summary>
    public SealedKey Rewrap(string tenant, SealedKey key)
    {
        using TenantKey opened = OpenKey(tenant, key);
        return SealKey(tenant, key.Generation, opened);
    }

    /// <summary>Zeroes the keys that it holds; the ring is the caller's.</summary>
    public void Dispose()
    {
        CryptographicOperations.ZeroMemory(_fingerprintKey);
        _fingerprints.Dispose();
        _envelope.Dispose();
    }

    // The envelope has opened, so these bytes hold what they held when they were compared.
    private bool IsItsOwn(string tenant, SealedKey key, ReadOnlySpan<byte> secret)
    {
        if (_known.TryGetValue(tenant, out SealedKey? known)
            && known.Bytes.AsSpan().SequenceEqual(key.Bytes) && known.Fingerprint.AsSpan().SequenceEqual(key.Fingerprint))
        {
            return true;
        }

        if (!CryptographicOperations.FixedTimeEquals(Fingerprint(secret), key.Fingerprint))
        {
            return false;
        }

        if (_known.Count == Kept)
        {
            _known.Clear();
        }

        _known[tenant] = key;
        return true;
    }

    private byte[] Fingerprint(ReadOnlySpan<byte> key)
    {
        _fingerprints.AppendData(key);
        return _fingerprints.GetHashAndReset();
    }

    private static StoreSeal MakeSeal(KeyRing ring, Guid store, int version, ReadOnlySpan<byte> fingerprintKey)
    {
        using var envelope = new Envelope(ring);
        return new StoreSeal(store, version, envelope.Seal(version, fingerprintKey, Bound(store, "fingerprints", 0, version)));
    }

    // Fixed sizes first and the name last: no two different rows have the same bytes. Generation 0 is no tenant's.
    private static byte[] Bound(Guid store, string name, long generation, int version)
    {
        byte[] bound = new byte[16 + sizeof(long) + sizeof(int) + Encoding.ASCII.GetByteCount(name)];
        store.TryWriteBytes(bound);
        BinaryPrimitives.WriteInt64BigEndian(bound.AsSpan(16), generation);
        BinaryPrimitives.WriteInt32BigEndian(bound.AsSpan(24), version);
        Encoding.ASCII.GetBytes(name, bound.AsSpan(28));
        return bound;
    }
}

/// <summary>A tenant's key as a store keeps it.</summary>
/// <param name="Generation">The key's number within its tenant.</param>
/// <param name="KekVersion">The version of the key-encryption key it is sealed with.</param>
/// <param name="Bytes">The envelope.</param>
/// <param name="Fingerprint">HMAC-SHA256 of the key under a secret of the store: equal for equal keys, and telling nothing else.</param>
public sealed record SealedKey(long Generation, int KekVersion, byte[] Bytes, byte[] Fingerprint)
{
    /// <summary>Gets the fingerprint's first 64 bits, the name of the key in records and the audit log; fewer where the fingerprint was cut short: then the key does not open.</summary>
    public string KeyId => Convert.ToHexStringLower(Fingerprint.AsSpan(0, Math.Min(8, Fingerprint.Length)));
}

/// <summary>A store's own seal.</summary>
/// <param name="StoreId">The store's identity: a row copied from another store does not open here.</param>
/// <param name="KekVersion">The version that new keys are sealed with.</param>
/// <param name="FingerprintKey">The secret of the fingerprints, sealed.</param>
public sealed record StoreSeal(Guid StoreId, int KekVersion, byte[] FingerprintKey);

namespace KaslrMt.Tenants;

/// <summary>What a store keeps of a tenant's key.</summary>
/// <param name="Generation">The key's number within its tenant.</param>
/// <param name="KekVersion">The version of the key-encryption key it is sealed with.</param>
/// <param name="Bytes">The envelope.</param>
/// <param name="Fingerprint">HMAC-SHA256 of the key under a secret of the store: equal for equal keys, and telling nothing else.</param>
internal sealed record SealedKey(long Generation, int KekVersion, byte[] Bytes, byte[] Fingerprint)
{
    /// <summary>The fingerprint's first 64 bits, the name of the key in records and the audit log. Less where somebody cut it short: then the key does not open.</summary>
    internal string KeyId => Convert.ToHexStringLower(Fingerprint.AsSpan(0, Math.Min(8, Fingerprint.Length)));
}

/// <summary>What a store keeps about its own sealing.</summary>
/// <param name="StoreId">Told from every other store: a row copied from there does not open here.</param>
/// <param name="KekVersion">The version that new keys are sealed with.</param>
/// <param name="FingerprintKey">The secret of the fingerprints, sealed.</param>
internal sealed record StoreSeal(Guid StoreId, int KekVersion, byte[] FingerprintKey);

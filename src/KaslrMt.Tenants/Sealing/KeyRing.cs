using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace KaslrMt.Tenants;

/// <summary>The key-encryption keys of a host, by version. It shows nothing of them, and zeroes them on disposal.</summary>
/// <remarks>
/// Its file holds one line <c>VERSION 64-HEX-DIGITS</c> for each key; empty lines and lines that begin with <c>#</c> are skipped. To rotate: add a line
/// with a higher version on every host, rewrap the store, then remove the old line.
/// </remarks>
public sealed class KeyRing : IDisposable
{
    /// <summary>The size of a key-encryption key in bytes.</summary>
    public const int KeySize = 32;

    private const int MaximumFile = 64 << 10;
    private readonly SortedList<int, byte[]> _keys;

    private KeyRing(SortedList<int, byte[]> keys) => _keys = keys;

    /// <summary>Gets the highest version, which new and rewrapped seals use.</summary>
    public int Newest => _keys.Keys[^1];

    /// <summary>Gets all versions, ascending.</summary>
    public IReadOnlyList<int> Versions => [.. _keys.Keys];

    /// <summary>Returns a ring of one new key, version 1.</summary>
    public static KeyRing Generate() => new(new SortedList<int, byte[]> { [1] = NewKey() });

    /// <summary>Returns a ring of these keys and one more, of the next version.</summary>
    public KeyRing WithNewKey()
    {
        var keys = new SortedList<int, byte[]>();
        foreach ((int version, byte[] key) in _keys)
        {
            byte[] copy = GC.AllocateUninitializedArray<byte>(KeySize, pinned: true);
            key.CopyTo(copy, 0);
            keys.Add(version, copy);
        }

        keys.Add(Newest + 1, NewKey());
        return new KeyRing(keys);
    }

    /// <summary>Reads a ring's text.</summary>
    /// <param name="text">ASCII text, as the remarks describe.</param>
    /// <param name="origin">The text's origin, for the message.</param>
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.KeyFileMalformed"/>; the message names the line, never its text.</exception>
    public static KeyRing Parse(ReadOnlySpan<byte> text, string origin)
    {
        var keys = new SortedList<int, byte[]>();
        int number = 0;
        foreach (Range range in text.Split((byte)'\n'))
        {
            number++;
            ReadOnlySpan<byte> line = text[range].Trim(" \t\r"u8);
            if (line.IsEmpty || line[0] == '#')
            {
                continue;
            }

            int space = line.IndexOf((byte)' ');
            byte[] key = GC.AllocateUninitializedArray<byte>(KeySize, pinned: true);
            if (space < 0 || !int.TryParse(line[..space], NumberStyles.None, CultureInfo.InvariantCulture, out int version) || version == 0
                || Convert.FromHexString(line[(space + 1)..], key, out int consumed, out int written) != System.Buffers.OperationStatus.Done
                || written != KeySize || consumed != line.Length - space - 1 || !keys.TryAdd(version, key))
            {
                throw Malformed(string.Create(CultureInfo.InvariantCulture, $"line {number} of {origin} is not a key-encryption key, or repeats a version"));
            }
        }

        return text.Length <= MaximumFile && keys.Count > 0 ? new KeyRing(keys) : throw Malformed($"{origin} holds no key-encryption key");
    }

    /// <summary>Gets the key of a version.</summary>
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.KeyVersionMissing"/>.</exception>
    internal ReadOnlySpan<byte> this[int version] => _keys.TryGetValue(version, out byte[]? key) ? key : throw new KaslrMtException(
        TenantErrors.KeyVersionMissing,
        string.Create(CultureInfo.InvariantCulture, $"the store is sealed with key-encryption key {version}, this host has {string.Join(", ", _keys.Keys)}"),
        "copy the missing line into this host's file of key-encryption keys");

    /// <summary>Derives a key for another purpose than sealing: HKDF-SHA256 (RFC 5869) of the key-encryption key of a version.</summary>
    /// <param name="version">The version.</param>
    /// <param name="salt">Random bytes, new for each use.</param>
    /// <param name="purpose">The key's purpose; no two uses share one.</param>
    /// <param name="key">Takes the key.</param>
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.KeyVersionMissing"/>.</exception>
    public void Derive(int version, ReadOnlySpan<byte> salt, ReadOnlySpan<byte> purpose, Span<byte> key) =>
        HKDF.DeriveKey(HashAlgorithmName.SHA256, this[version], key, salt, purpose);

    /// <summary>Returns the ring's text, for its file. The caller zeroes it.</summary>
    internal byte[] Write()
    {
        int size = _keys.Keys.Sum(version => Digits(version) + 1 + (2 * KeySize) + 1);
        byte[] text = GC.AllocateUninitializedArray<byte>(size, pinned: true);
        Span<byte> rest = text;
        foreach ((int version, byte[] key) in _keys)
        {
            version.TryFormat(rest, out int digits, provider: CultureInfo.InvariantCulture);
            rest[digits] = (byte)' ';
            Convert.TryToHexStringLower(key, rest[(digits + 1)..], out int hex);
            rest[digits + 1 + hex] = (byte)'\n';
            rest = rest[(digits + 2 + hex)..];
        }

        return text;
    }

    /// <summary>Zeroes all keys.</summary>
    public void Dispose()
    {
        foreach (byte[] key in _keys.Values)
        {
            CryptographicOperations.ZeroMemory(key);
        }
    }

    /// <summary>Returns the type's name; keys are never shown.</summary>
    public override string ToString() => nameof(KeyRing);

    private static int Digits(int version) => Encoding.ASCII.GetByteCount(version.ToString(CultureInfo.InvariantCulture));

    private static byte[] NewKey()
    {
        byte[] key = GC.AllocateUninitializedArray<byte>(KeySize, pinned: true);
        RandomNumberGenerator.Fill(key);
        return key;
    }

    private static KaslrMtException Malformed(string problem) => new(
        TenantErrors.KeyFileMalformed, problem, "each line is a version (1, 2, …), one space and 64 hexadecimal digits ('openssl rand -hex 32' makes them)");
}

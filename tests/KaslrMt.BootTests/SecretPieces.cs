using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using KaslrMt.Layout;

namespace KaslrMt.BootTests;

/// <summary>Every piece of a tenant's and a VM's secrets, and of all that is computed on the way to their bases, as memory could hold it.</summary>
/// <remarks>
/// The derivation is written here a second time, from its documentation: a mistake in the product's cannot hide the same thing from the
/// search. A piece is 8 bytes of a binary secret or of a key's characters and 16 of its text forms, at every offset.
/// </remarks>
internal static class SecretPieces
{
    private const int BinaryPiece = 8;
    private const int TextPiece = 16;

    internal static IEnumerable<(string Name, byte[] Bytes)> Of(string key, string seedHex)
    {
        byte[] seed = Convert.FromHexString(seedHex);
        byte[] ascii = Encoding.ASCII.GetBytes(key);
        IEnumerable<(string, byte[])> pieces = [.. Forms("the tenant key", ascii), .. Forms("the VM seed", seed)];
        pieces = pieces.Concat(Derived("per-tenant", ascii)).Concat(Derived("per-vm", seed)).Concat(PaperChain(ascii));
        return pieces;
    }

    /// <summary>Every window of a secret's bytes, of its hexadecimal digits, of its base64 and of its UTF-16.</summary>
    private static IEnumerable<(string Name, byte[] Bytes)> Forms(string name, byte[] secret) =>
    [
        .. Windows(name, secret, BinaryPiece),
        .. Windows($"{name}, backwards", [.. secret.Reverse()], BinaryPiece),
        .. Windows($"{name}, in hex", Encoding.ASCII.GetBytes(Convert.ToHexStringLower(secret)), TextPiece),
        .. Windows($"{name}, in HEX", Encoding.ASCII.GetBytes(Convert.ToHexString(secret)), TextPiece),
        .. Windows($"{name}, in base64", Encoding.ASCII.GetBytes(Convert.ToBase64String(secret)), TextPiece),
        .. Windows($"{name}, in UTF-16", Encoding.Unicode.GetBytes(Encoding.Latin1.GetString(secret)), TextPiece),
    ];

    private static IEnumerable<(string Name, byte[] Bytes)> Derived(string scope, byte[] secret)
    {
        byte[] prk = HKDF.Extract(HashAlgorithmName.SHA256, secret, Encoding.ASCII.GetBytes($"kaslrmt/v1/{scope}"));
        foreach ((string, byte[]) piece in Forms($"the {scope} PRK", prk))
        {
            yield return piece;
        }

        foreach (Region region in LayoutNames.Regions)
        {
            byte[] stream = HKDF.Expand(HashAlgorithmName.SHA256, prk, 64, Encoding.ASCII.GetBytes($"kaslrmt/v1/{region.Name()}"));
            foreach ((string, byte[]) piece in Forms($"the {scope} stream of {region.Name()}", stream))
            {
                yield return piece;
            }
        }

        byte[] info = new byte["kaslrmt/v1/boot/"u8.Length + sizeof(int)];
        "kaslrmt/v1/boot/"u8.CopyTo(info);
        BinaryPrimitives.WriteInt32BigEndian(info.AsSpan(info.Length - sizeof(int)), 1);
        foreach ((string, byte[]) piece in Forms("the next boot's seed", HKDF.DeriveKey(HashAlgorithmName.SHA256, secret, 32, salt: [], info)))
        {
            yield return piece;
        }
    }

#pragma warning disable CA5350 // SHA-1 is what the paper uses.
    private static IEnumerable<(string Name, byte[] Bytes)> PaperChain(byte[] key) => Enumerable.Range(0, 6).SelectMany(step =>
    {
        byte[] next = [.. key];
        next[^1] += (byte)step;
        return Forms($"the paper's digest {step}", SHA1.HashData(next));
    });
#pragma warning restore CA5350

    private static IEnumerable<(string Name, byte[] Bytes)> Windows(string name, byte[] bytes, int length) =>
        Enumerable.Range(0, Math.Max(0, bytes.Length - length + 1)).Select(at => (name, bytes[at..(at + length)]));
}

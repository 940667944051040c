using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;

namespace KaslrMt.Layout;

/// <summary>A tenant's secret, from which every per-tenant base follows.</summary>
/// <remarks>
/// Printable ASCII 0x21–0x7e, 10 to 256 characters (the paper's section 7). Neither <see cref="ToString"/> nor any error shows the content,
/// equality is by reference, and disposal zeroes the bytes.
/// </remarks>
public sealed class TenantKey : IDisposable
{
    /// <summary>The shortest key: 10 of 94 characters carry 65 bits (the paper's section 7).</summary>
    public const int MinimumLength = 10;

    /// <summary>The longest key.</summary>
    public const int MaximumLength = 256;

    /// <summary>Length of a generated key: 24 of 62 characters carry 142 bits.</summary>
    public const int GeneratedLength = 24;

    private readonly SecretBytes _bytes;

    private TenantKey(SecretBytes bytes) => _bytes = bytes;

    // Letters and digits only, so that a key survives shells, JSON, XML and, having no '-', stays readable in kaslr_mt=KEY-BITMAP.
    private static ReadOnlySpan<byte> Alphabet => "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"u8;

    /// <summary>The number of characters.</summary>
    public int Length => _bytes.Span.Length;

    /// <summary>Draws a new key of 24 letters and digits (142 bits) from the system's generator, without bias.</summary>
    public static TenantKey Generate()
    {
        while (true)
        {
            var bytes = new SecretBytes(GeneratedLength);
            RandomNumberGenerator.GetItems(Alphabet, bytes.Span);
            if (KeyWeakness.Find(bytes.Span) is null)
            {
                return new TenantKey(bytes);
            }

            bytes.Dispose();
        }
    }

    /// <summary>Takes a copy of these ASCII bytes as a key.</summary>
    /// <exception cref="KaslrMtException">
    /// KMT1101–KMT1108: the key is malformed or weak; the message says why, never what it holds.
    /// </exception>
    public static TenantKey Parse(ReadOnlySpan<byte> ascii) =>
        KeyWeakness.Find(ascii) is { } weakness ? throw weakness.ToException() : new TenantKey(new SecretBytes(ascii));

    /// <summary>Takes a copy of these characters as a key.</summary>
    /// <exception cref="KaslrMtException">
    /// KMT1101–KMT1108: the key is malformed or weak; the message says why, never what it holds.
    /// </exception>
    public static TenantKey Parse(ReadOnlySpan<char> text)
    {
        Span<byte> ascii = stackalloc byte[MaximumLength + 1];
        ascii = Narrow(text, ascii);
        try
        {
            return Parse(ascii);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(ascii);
        }
    }

    /// <summary>Takes the content of a key file: a key, and at most one line end (LF or CR LF) behind it.</summary>
    /// <exception cref="KaslrMtException">KMT1101–KMT1108, as <see cref="Parse(ReadOnlySpan{byte})"/>.</exception>
    public static TenantKey ParseLine(ReadOnlySpan<byte> content)
    {
        ReadOnlySpan<byte> line = content.EndsWith("\n"u8) ? content[..^1] : content;
        return Parse(line.Length < content.Length && line.EndsWith("\r"u8) ? line[..^1] : line);
    }

    /// <summary>Takes a copy of these ASCII bytes as a key.</summary>
    /// <returns>False when the key is malformed or weak.</returns>
    public static bool TryParse(ReadOnlySpan<byte> ascii, [NotNullWhen(true)] out TenantKey? key)
    {
        key = KeyWeakness.Find(ascii) is null ? new TenantKey(new SecretBytes(ascii)) : null;
        return key is not null;
    }

    /// <summary>Takes a copy of these characters as a key.</summary>
    /// <returns>False when the key is malformed or weak.</returns>
    public static bool TryParse(ReadOnlySpan<char> text, [NotNullWhen(true)] out TenantKey? key)
    {
        Span<byte> ascii = stackalloc byte[MaximumLength + 1];
        ascii = Narrow(text, ascii);
        bool taken = TryParse(ascii, out key);
        CryptographicOperations.ZeroMemory(ascii);
        return taken;
    }

    /// <summary>The key itself, for the few who must store it or derive from it. Valid until disposal.</summary>
    /// <exception cref="ObjectDisposedException">The key was disposed of.</exception>
    public ReadOnlySpan<byte> Reveal() => _bytes.Span;

    /// <summary>Whether both keys hold the same characters, in a time that depends on their lengths only.</summary>
    public bool Matches(TenantKey other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return CryptographicOperations.FixedTimeEquals(Reveal(), other.Reveal());
    }

    /// <summary>Zeroes the key.</summary>
    public void Dispose() => _bytes.Dispose();

    /// <summary>The type's name; a key is never shown.</summary>
    public override string ToString() => nameof(TenantKey);

    // One character more than the longest key is enough to be told "too long"; what is not ASCII becomes an illegal character.
    private static Span<byte> Narrow(ReadOnlySpan<char> text, Span<byte> ascii)
    {
        int length = Math.Min(text.Length, ascii.Length);
        for (int i = 0; i < length; i++)
        {
            ascii[i] = char.IsAscii(text[i]) ? (byte)text[i] : (byte)0;
        }

        return ascii[..length];
    }
}

using System.Globalization;

namespace KaslrMt.Layout;

/// <summary>Why a tenant key is refused. Says where and how many, never which characters.</summary>
/// <remarks>
/// No test of a single string can prove entropy. These rules refuse what people type when they are asked for ten characters;
/// <see cref="TenantKey.Generate"/> is the remedy they all name. A random key of 10 printable characters falls to one of them with a
/// probability of about 10^-6.
/// </remarks>
internal readonly record struct KeyWeakness(ErrorCode Code, string Problem)
{
    /// <summary>A key needs this many different characters: an 8-character alphabet gives 10 characters only 30 bits.</summary>
    internal const int MinimumDistinct = 5;

    /// <summary>Digits alone carry 64 bits from this length on (20 × log2 10 = 66).</summary>
    internal const int MinimumDigits = 20;

    private const string Remedy = "generate a key, or use at least 10 random characters from 0x21–0x7e";
    private const byte First = 0x21;
    private const byte Last = 0x7e;

    // Both shifts of the three letter rows, and the digit row with its wrap from 9 to 0.
    private static ReadOnlySpan<byte> KeyboardRows => "qwertyuiop asdfghjkl zxcvbnm QWERTYUIOP ASDFGHJKL ZXCVBNM 1234567890 !@#$%^&*()"u8;

    /// <summary>The first reason to refuse this key, or null when it is accepted.</summary>
    internal static KeyWeakness? Find(ReadOnlySpan<byte> key)
    {
        if (key.Length > TenantKey.MaximumLength)
        {
            return new(LayoutErrors.KeyTooLong, Text($"the tenant key has more than {TenantKey.MaximumLength} characters"));
        }

        int illegal = key.IndexOfAnyExceptInRange(First, Last);
        if (illegal >= 0)
        {
            return new(
                LayoutErrors.KeyCharacter,
                Text($"the tenant key's character {illegal + 1} of {key.Length} is not printable ASCII (0x21–0x7e)"));
        }

        if (key.Length < TenantKey.MinimumLength)
        {
            return new(
                LayoutErrors.KeyTooShort,
                Text($"the tenant key has {key.Length} characters, at least {TenantKey.MinimumLength} are needed"));
        }

        return FindPattern(key);
    }

    internal KaslrMtException ToException() => new(Code, Problem, Remedy);

    private static KeyWeakness? FindPattern(ReadOnlySpan<byte> key)
    {
        int distinct = Distinct(key);
        if (distinct == 1)
        {
            return new(LayoutErrors.KeyOneCharacter, "the tenant key is one character repeated");
        }

        if (distinct < MinimumDistinct)
        {
            return new(
                LayoutErrors.KeyFewCharacters,
                Text($"the tenant key uses {distinct} different characters, at least {MinimumDistinct} are needed"));
        }

        if (Foreseeable(key) * 2 > key.Length)
        {
            return new(
                LayoutErrors.KeySequence,
                "the tenant key is mostly an obvious sequence (neighbours in the alphabet or on the keyboard)");
        }

        int period = Period(key);
        if (period < TenantKey.MinimumLength && period * 2 <= key.Length)
        {
            return new(
                LayoutErrors.KeyPeriodic,
                Text($"the tenant key repeats a piece of {period} characters, so it is no stronger than that piece"));
        }

        return key.Length < MinimumDigits && !key.ContainsAnyExceptInRange((byte)'0', (byte)'9')
            ? new(
                LayoutErrors.KeyDigits,
                Text($"the tenant key is {key.Length} digits, too few for 64 bits without letters ({MinimumDigits} are needed)"))
            : null;
    }

    private static int Distinct(ReadOnlySpan<byte> key)
    {
        UInt128 seen = 0;
        foreach (byte character in key)
        {
            seen |= UInt128.One << character;
        }

        return (int)UInt128.PopCount(seen);
    }

    /// <summary>
    /// How many characters follow from the one before: the same, the next or previous code, or the next key of a keyboard row.
    /// </summary>
    private static int Foreseeable(ReadOnlySpan<byte> key)
    {
        int count = 0;
        for (int i = 1; i < key.Length; i++)
        {
            // Each character is in the rows once, so its neighbours are at that one place. A key is looked at whenever a VM starts.
            int place = KeyboardRows.IndexOf(key[i - 1]);
            bool follows = Math.Abs(key[i] - key[i - 1]) <= 1
                || (place >= 0 && place + 1 < KeyboardRows.Length && KeyboardRows[place + 1] == key[i])
                || (place > 0 && KeyboardRows[place - 1] == key[i]);
            count += follows ? 1 : 0;
        }

        return count;
    }

    /// <summary>The smallest p with key[i] = key[i − p] for every i; the length itself when nothing repeats.</summary>
    private static int Period(ReadOnlySpan<byte> key)
    {
        int period = 1;
        while (!key[period..].SequenceEqual(key[..^period]))
        {
            period++;
        }

        return period;
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}

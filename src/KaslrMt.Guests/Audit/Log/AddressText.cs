using System.Buffers;
using System.Buffers.Text;

namespace KaslrMt.Guests;

/// <summary>Finds what looks like a kernel address in text: 16 hexadecimal digits that begin with <c>ffff</c>, with or without <c>0x</c>.</summary>
internal static class AddressText
{
    /// <summary>An address's digits.</summary>
    public const int Digits = 16;

    private static readonly SearchValues<byte> HexDigits = SearchValues.Create("0123456789abcdefABCDEF"u8);

    /// <summary>The next one.</summary>
    /// <param name="text">ASCII text; other bytes are taken for letters of no number.</param>
    /// <param name="from">Where to begin.</param>
    /// <param name="at">Where its first digit lies.</param>
    /// <param name="address">Its value.</param>
    /// <returns>False when there is none.</returns>
    public static bool TryNext(ReadOnlySpan<byte> text, int from, out int at, out ulong address)
    {
        at = from;
        address = 0;
        while (at + Digits <= text.Length)
        {
            int found = text[at..].IndexOfAny((byte)'f', (byte)'F');
            if (found < 0)
            {
                return false;
            }

            at += found;
            int digits = CountDigits(text[at..]);
            if (digits == Digits && IsStart(text, at) && Utf8Parser.TryParse(text.Slice(at, Digits), out address, out int used, 'x') && used == Digits
                && address >= 0xffff800000000000 && (at + Digits == text.Length || !IsWord(text[at + Digits])))
            {
                return true;
            }

            at += Math.Max(1, digits);
        }

        return false;
    }

    private static int CountDigits(ReadOnlySpan<byte> text)
    {
        int digits = text.IndexOfAnyExcept(HexDigits);
        return digits < 0 ? text.Length : digits;
    }

    private static bool IsStart(ReadOnlySpan<byte> text, int at) =>
        at == 0 || !IsWord(text[at - 1]) || (at >= 2 && text[at - 1] is (byte)'x' or (byte)'X' && text[at - 2] == (byte)'0' && (at == 2 || !IsWord(text[at - 3])));

    private static bool IsWord(byte letter) => char.IsAsciiLetterOrDigit((char)letter) || letter == (byte)'_';
}

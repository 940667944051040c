using System.Buffers;
using System.Globalization;

namespace KaslrMt.Guests;

/// <summary>Writes text anew with each kernel address followed by its symbol: an oops, a trace, a log.</summary>
/// <remarks>
/// <para>An address is 16 hexadecimal digits from 0xffff8000… up, with or without <c>0x</c>, in <c>[&lt;&gt;]</c> or not. What the kernel has named
/// itself (<c>[&lt;ffffffff81000110&gt;] func+0x10/0x20</c>) is not named again, and the bytes of a <c>Code:</c> line are left alone.</para>
/// <para>Takes text of any length in bounded memory. Control characters become question marks: the text may be a hostile guest's, and
/// the reader's terminal obeys them.</para>
/// </remarks>
/// <param name="symbols">Names the addresses.</param>
public sealed class TextSymbolizer(KernelSymbolizer symbols)
{
    private const int BlockSize = 64 << 10;
    private static readonly SearchValues<char> HexDigits = SearchValues.Create("0123456789abcdef");

    private const string OffsetMark = "Kernel Offset: 0x";

    /// <summary>The offset that a <c>Kernel Offset:</c> line of the text told, the last of them; null without one.</summary>
    public ulong? ToldOffset { get; private set; }

    /// <summary>How many addresses were named.</summary>
    public long Named { get; private set; }

    /// <summary>Rewrites all of a text, line by line.</summary>
    /// <param name="input">The text.</param>
    /// <param name="output">Takes the new one; it is flushed whenever the input pauses.</param>
    /// <exception cref="KaslrMtException">KMT50xx when the guest goes away.</exception>
    public void Rewrite(TextReader input, TextWriter output)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(output);
        var block = new char[BlockSize];
        int held = 0;
        bool inCode = false;
        for (int read = input.Read(block, 0, block.Length); read > 0 || held > 0; read = input.Read(block, held, block.Length - held))
        {
            held += read;
            int whole = read == 0 ? held : Whole(block.AsSpan(0, held));
            foreach (Range line in block.AsSpan(0, whole).Split('\n'))
            {
                (int start, int length) = line.GetOffsetAndLength(whole);
                if (start == whole && whole > 0)
                {
                    break;
                }

                bool ends = start + length < whole;
                Line(block.AsSpan(start, length), output, ref inCode);
                if (ends)
                {
                    output.Write('\n');
                    inCode = false;
                }
            }

            block.AsSpan(whole, held - whole).CopyTo(block);
            held -= whole;
            output.Flush();
            if (read == 0)
            {
                return;
            }
        }
    }

    /// <summary>How much of the block can be written: whole lines, or of a line that is longer than a block whole words.</summary>
    private static int Whole(ReadOnlySpan<char> block)
    {
        int lines = block.LastIndexOf('\n') + 1;
        if (lines > 0 || block.Length < BlockSize)
        {
            return lines;
        }

        int word = block.Length - 1;
        while (word > block.Length / 2 && (char.IsAsciiLetterOrDigit(block[word]) || block[word] is '_' or '+'))
        {
            word--;
        }

        return word;
    }

    private void Line(ReadOnlySpan<char> line, TextWriter output, ref bool inCode)
    {
        inCode |= IsCode(line);
        ReadOffset(line);
        Span<byte> bytes = line.Length <= 1024 ? stackalloc byte[line.Length] : new byte[line.Length];
        for (int i = 0; i < line.Length; i++)
        {
            bytes[i] = char.IsAscii(line[i]) ? (byte)line[i] : (byte)'?';
        }

        int written = 0;
        int at = 0;
        while (!inCode && AddressText.TryNext(bytes, at, out at, out ulong address))
        {
            at += AddressText.Digits;
            int end = line[at..].StartsWith(">]") ? at + 2 : at;
            if (!IsNamed(line[end..]) && symbols.Find(new VirtualAddress(address)) is { } place)
            {
                Copy(line[written..end], output);
                output.Write(' ');
                Copy(place.ToString(), output);
                written = end;
                Named++;
            }
        }

        Copy(line[written..], output);
    }

    /// <summary>Whether a name follows: <c>func+0x10</c>, perhaps behind a question mark and a bracket.</summary>
    private static bool IsNamed(ReadOnlySpan<char> rest)
    {
        rest = rest.TrimStart(" \t?([");
        int length = 0;
        while (length < rest.Length && (char.IsAsciiLetterOrDigit(rest[length]) || rest[length] is '_' or '.'))
        {
            length++;
        }

        return length > 0 && rest[length..].StartsWith("+0x");
    }

    // Behind a time stamp, a level or a console's prefix.
    private static bool IsCode(ReadOnlySpan<char> line) => line.IndexOf("Code: ") is >= 0 and < 64 and var at && (at == 0 || !char.IsAsciiLetterOrDigit(line[at - 1]));

    private void ReadOffset(ReadOnlySpan<char> line)
    {
        int at = line.IndexOf(OffsetMark);
        if (at >= 0)
        {
            ReadOnlySpan<char> digits = line[(at + OffsetMark.Length)..];
            int length = digits.IndexOfAnyExcept(HexDigits);
            if (ulong.TryParse(digits[..(length < 0 ? digits.Length : length)], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong offset))
            {
                ToldOffset = offset;
            }
        }
    }

    private static void Copy(ReadOnlySpan<char> text, TextWriter output)
    {
        while (!text.IsEmpty)
        {
            int bad = 0;
            while (bad < text.Length && (!char.IsControl(text[bad]) || text[bad] is '\t' or '\r'))
            {
                bad++;
            }

            output.Write(text[..bad]);
            if (bad < text.Length)
            {
                output.Write('?');
                bad++;
            }

            text = text[bad..];
        }
    }
}

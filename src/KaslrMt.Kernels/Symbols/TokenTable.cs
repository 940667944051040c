using System.Buffers.Binary;

namespace KaslrMt.Kernels;

/// <summary>The 256 strings that symbol names are made of (<c>kallsyms_token_table</c> with <c>kallsyms_token_index</c>).</summary>
internal sealed class TokenTable
{
    /// <summary>Codes, hence tokens.</summary>
    public const int Count = 256;

    /// <summary>Bytes of <c>kallsyms_token_index</c>.</summary>
    public const int IndexBytes = Count * sizeof(ushort);

    /// <summary>Longest token, in bytes: a token is part of a name, and names are shorter than KSYM_NAME_LEN, 512.</summary>
    public const int MaxTokenBytes = 512;

    private readonly byte[] _text;
    private readonly ushort[] _start;
    private readonly ushort[] _length;

    private TokenTable(byte[] text, ushort[] start, ushort[] length)
    {
        _text = text;
        _start = start;
        _length = length;
    }

    /// <summary>
    /// What to search for: digits occur in symbol names of every kernel, so each digit's code stands for itself and the ten strings lie
    /// in a row. First and last byte are rare side by side at this distance, which suits a vectorized search.
    /// </summary>
    public static ReadOnlySpan<byte> Digits => "0\01\02\03\04\05\06\07\08\09"u8;

    /// <summary>The string of a code: printable ASCII, empty for a code no name uses.</summary>
    public ReadOnlySpan<byte> this[byte code] => _text.AsSpan(_start[code], _length[code]);

    /// <summary>Whether <paramref name="digits"/> lies in a token table that an index follows and agrees with.</summary>
    /// <param name="image">The kernel's memory; its start has an address divisible by 8.</param>
    /// <param name="digits">Where <see cref="Digits"/> was seen.</param>
    /// <param name="table">The start of the token table.</param>
    /// <param name="index">The start of the token index.</param>
    public static bool TryLocate(ReadOnlySpan<byte> image, int digits, out int table, out int index)
    {
        table = 0;
        index = 0;
        int end = digits;
        for (int code = '0'; code < Count; code++)
        {
            int length = TokenLength(image[end..]);
            if (length < 0)
            {
                return false;
            }

            end += length + 1;
        }

        // Tables are aligned to 8 bytes up to 7.0 and to 4 later.
        for (int alignment = 4; alignment <= 8; alignment += 4)
        {
            index = end + (-end & (alignment - 1));
            if (index >= end && image.Length - index >= IndexBytes && Agrees(image, digits, end, index, out table))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Reads a table that <see cref="TryLocate"/> found.</summary>
    public static TokenTable Read(ReadOnlySpan<byte> image, int table, int index)
    {
        var start = new ushort[Count];
        var length = new ushort[Count];
        for (int code = 0; code < Count; code++)
        {
            start[code] = ReadIndex(image, index, code);
            length[code] = (ushort)TokenLength(image[(table + start[code])..]);
        }

        byte[] text = image.Slice(table, start[Count - 1] + length[Count - 1]).ToArray();
        return new TokenTable(text, start, length);
    }

    /// <summary>How long a compressed name is when expanded, its type character included.</summary>
    /// <param name="memory">Where the compressed name is.</param>
    /// <param name="codes">Its first code.</param>
    /// <param name="end">Behind its last code.</param>
    public int ExpandedLength(ReadOnlySpan<byte> memory, int codes, int end)
    {
        ushort[] lengths = _length;
        int length = 0;
        for (int at = codes; at < end; at++)
        {
            length += lengths[memory[at]];
        }

        return length;
    }

    /// <summary>Expands a compressed name, its type character first.</summary>
    /// <param name="codes">The compressed name without its length.</param>
    /// <param name="name">Receives the name; a longer one is cut off, as the kernel does.</param>
    /// <returns>Bytes written.</returns>
    public int Expand(ReadOnlySpan<byte> codes, Span<byte> name)
    {
        int written = 0;
        foreach (byte code in codes)
        {
            ReadOnlySpan<byte> token = this[code];
            if (token.Length > name.Length - written)
            {
                token = token[..(name.Length - written)];
            }

            token.CopyTo(name[written..]);
            written += token.Length;
        }

        return written;
    }

    private static bool Agrees(ReadOnlySpan<byte> image, int digits, int end, int index, out int table)
    {
        table = digits - ReadIndex(image, index, '0');
        if (table < 0)
        {
            return false;
        }

        int at = table;
        for (int code = 0; code < Count; code++)
        {
            int length = at < end ? TokenLength(image[at..end]) : -1;
            if (length < 0 || ReadIndex(image, index, code) != at - table)
            {
                return false;
            }

            for (int terminator = at + length; at < terminator; at++)
            {
                if (image[at] is < (byte)'!' or > (byte)'~')
                {
                    return false;
                }
            }

            at++;
        }

        return at == end;
    }

    private static int TokenLength(ReadOnlySpan<byte> text) => text[..Math.Min(text.Length, MaxTokenBytes + 1)].IndexOf((byte)0);

    private static ushort ReadIndex(ReadOnlySpan<byte> image, int index, int code) =>
        BinaryPrimitives.ReadUInt16LittleEndian(image[(index + (code * sizeof(ushort)))..]);
}

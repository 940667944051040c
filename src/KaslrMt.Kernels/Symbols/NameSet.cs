using System.Numerics;
using System.Text;

namespace KaslrMt.Kernels;

/// <summary>
/// The names asked for, arranged so that one pass over compressed names rejects nearly all by their first and last code, without
/// expanding them.
/// </summary>
internal sealed class NameSet
{
    private const byte StartsWithType = 1;
    private const byte StartsName = 2;
    private const byte EndsName = 4;
    private const byte IsOneCharacter = 8;

    private readonly TokenTable _tokens;
    private readonly byte[][] _names;
    private readonly int[] _heads;
    private readonly int[] _next;
    private readonly byte[] _hints = new byte[TokenTable.Count];
    private readonly bool[] _lengths = new bool[Kallsyms.MaxNameBytes + 1];

    /// <summary>Prepares <paramref name="names"/> for names made of <paramref name="tokens"/>.</summary>
    public NameSet(ReadOnlySpan<string> names, TokenTable tokens)
    {
        _tokens = tokens;
        _names = new byte[names.Length][];
        _next = new int[names.Length];
        _heads = new int[(int)BitOperations.RoundUpToPowerOf2((uint)(2 * names.Length) + 1)];

        // In reverse, so that of equal names the first is found first. A kernel's names are ASCII: anything else turns into a question
        // mark, which no symbol has.
        for (int i = names.Length - 1; i >= 0; i--)
        {
            byte[] name = Encoding.ASCII.GetBytes(names[i]);
            ref int head = ref _heads[Bucket(name)];
            _names[i] = name;
            _next[i] = head;
            head = i + 1;
            if (name.Length < _lengths.Length)
            {
                _lengths[name.Length] = true;
            }
        }

        for (int code = 0; code < TokenTable.Count; code++)
        {
            ReadOnlySpan<byte> token = tokens[(byte)code];
            int hints = token.Length == 1 ? IsOneCharacter : 0;
            foreach (byte[] name in _names)
            {
                hints |= StartsWith(name, token) ? StartsName : 0;
                hints |= token.IsEmpty || StartsWith(name, token[1..]) ? StartsWithType : 0;
                hints |= name.Length >= token.Length && token.SequenceEqual(name.AsSpan(name.Length - token.Length)) ? EndsName : 0;
            }

            _hints[code] = (byte)hints;
        }
    }

    /// <summary>Whether a compressed name can be one of the names. False is certain, true is not.</summary>
    /// <param name="memory">Where the compressed name is.</param>
    /// <param name="codes">Its first code, that of its type.</param>
    /// <param name="end">Behind its last code; above <paramref name="codes"/>.</param>
    public bool MayContain(ReadOnlySpan<byte> memory, int codes, int end)
    {
        byte[] hints = _hints;
        byte first = hints[memory[codes]];
        if ((first & StartsWithType) == 0)
        {
            return false;
        }

        // Often the type is a token of its own and says nothing about the name, so ask the next one.
        if (end - codes > 1
            && ((hints[memory[end - 1]] & EndsName) == 0
                || ((first & IsOneCharacter) != 0 && (hints[memory[codes + 1]] & StartsName) == 0)))
        {
            return false;
        }

        int length = _tokens.ExpandedLength(memory, codes, end) - 1;
        return (uint)length < (uint)_lengths.Length && _lengths[length];
    }

    /// <summary>The first of the names that equals <paramref name="name"/>, or −1.</summary>
    public int First(ReadOnlySpan<byte> name) => Match(_heads[Bucket(name)] - 1, name);

    /// <summary>After <see cref="First"/>, the next of the names that equals <paramref name="name"/>, or −1.</summary>
    public int Next(int previous, ReadOnlySpan<byte> name) => Match(_next[previous] - 1, name);

    private static bool StartsWith(byte[] name, ReadOnlySpan<byte> token) =>
        name.Length >= token.Length && token.SequenceEqual(name.AsSpan(0, token.Length));

    private int Match(int candidate, ReadOnlySpan<byte> name)
    {
        while (candidate >= 0 && !name.SequenceEqual(_names[candidate]))
        {
            candidate = _next[candidate] - 1;
        }

        return candidate;
    }

    private int Bucket(ReadOnlySpan<byte> name)
    {
        uint hash = 2166136261;
        for (int i = 0; i < name.Length; i++)
        {
            hash = unchecked((hash ^ name[i]) * 16777619);
        }

        return (int)((hash ^ (hash >> 15)) & (uint)(_heads.Length - 1));
    }
}

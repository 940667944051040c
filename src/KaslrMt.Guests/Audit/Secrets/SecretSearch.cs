using System.Runtime.InteropServices;
using KaslrMt.Layout;

namespace KaslrMt.Guests;

/// <summary>Searches memory for secrets, whole or in pieces, at every address, in one pass.</summary>
/// <remarks>
/// Whatever piece of a secret has 15 bytes or more holds eight that are aligned in memory, wherever it lies; so only aligned words are looked at,
/// and each is looked up among all eight-byte windows of all secrets. A filter of one bit for each hash, small enough for the processor's first
/// cache, lets almost no other word through.
/// </remarks>
internal sealed class SecretSearch
{
    /// <summary>Equal bytes that count as a find: of random bytes none agree so far in 2^60 tries.</summary>
    public const int LeastEqual = 12;

    private const int FilterBits = 17;
    private const int Word = sizeof(ulong);

    private readonly SecretTraces _traces;
    private readonly ulong[] _filter = new ulong[1 << (FilterBits - 6)];
    private readonly Dictionary<ulong, List<(int Trace, int Offset)>> _windows = [];
    private readonly List<int> _short = [];

    /// <summary>Prepares the search.</summary>
    public SecretSearch(SecretTraces traces)
    {
        _traces = traces;
        for (int trace = 0; trace < traces.Count; trace++)
        {
            ReadOnlySpan<byte> bytes = traces.Reveal(trace);
            Longest = Math.Max(Longest, bytes.Length);
            if (bytes.Length < (2 * Word) - 1)
            {
                _short.Add(trace);
            }

            for (int offset = 0; offset + Word <= bytes.Length; offset++)
            {
                ulong window = MemoryMarshal.Read<ulong>(bytes[offset..]);
                CollectionsMarshal.GetValueRefOrAddDefault(_windows, window, out _) ??= [];
                _windows[window].Add((trace, offset));
                int place = Place(window);
                _filter[place >> 6] |= 1UL << place;
            }
        }
    }

    /// <summary>The longest secret's bytes: what two blocks must overlap by.</summary>
    public int Longest { get; }

    /// <summary>Searches a block.</summary>
    /// <param name="block">Memory that begins at a multiple of 8.</param>
    /// <param name="found">Told each find: the secret's number, where it or its piece begins, and how many bytes are there.</param>
    public void In(ReadOnlySpan<byte> block, Action<int, int, int> found)
    {
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(block);
        ulong[] filter = _filter;
        for (int i = 0; i < words.Length; i++)
        {
            int place = Place(words[i]);
            if ((filter[place >> 6] & (1UL << place)) != 0 && _windows.TryGetValue(words[i], out List<(int Trace, int Offset)>? candidates))
            {
                foreach ((int trace, int offset) in candidates)
                {
                    Extend(block, i * Word, trace, offset, found);
                }
            }
        }

        foreach (int trace in _short)
        {
            ReadOnlySpan<byte> wanted = _traces.Reveal(trace);
            for (int at = block.IndexOf(wanted); at >= 0;)
            {
                found(trace, at, wanted.Length);
                int next = block[(at + 1)..].IndexOf(wanted);
                at = next < 0 ? -1 : at + 1 + next;
            }
        }
    }

    private static int Place(ulong word) => (int)((word * 0x9e3779b97f4a7c15) >> (64 - FilterBits));

    private void Extend(ReadOnlySpan<byte> block, int at, int trace, int offset, Action<int, int, int> found)
    {
        ReadOnlySpan<byte> wanted = _traces.Reveal(trace);
        int before = 0;
        while (before < offset && before < at && block[at - before - 1] == wanted[offset - before - 1])
        {
            before++;
        }

        // Of the aligned words of one piece, only the first tells it.
        if (before >= Word)
        {
            return;
        }

        int length = before + block[at..].CommonPrefixLength(wanted[offset..]);
        if (length >= LeastEqual)
        {
            found(trace, at - before, length);
        }
    }
}

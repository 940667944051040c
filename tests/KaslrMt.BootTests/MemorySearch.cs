using System.Runtime.InteropServices;
using KaslrMt.Guests;

namespace KaslrMt.BootTests;

/// <summary>Searches a guest's whole memory for many byte strings at once, at every address.</summary>
internal sealed class MemorySearch
{
    private const int FilterBits = 20;
    private const int BlockSize = 4 << 20;

    private readonly Dictionary<ulong, List<(string Name, byte[] Bytes)>> _byStart = [];
    private readonly bool[] _filter = new bool[1 << FilterBits];
    private readonly int _longest;

    /// <summary>Prepares the search.</summary>
    /// <param name="wanted">The strings, of 8 bytes or more.</param>
    internal MemorySearch(IEnumerable<(string Name, byte[] Bytes)> wanted)
    {
        foreach ((string name, byte[] bytes) in wanted)
        {
            ulong start = MemoryMarshal.Read<ulong>(bytes);
            CollectionsMarshal.GetValueRefOrAddDefault(_byStart, start, out _) ??= [];
            _byStart[start].Add((name, bytes));
            _filter[Place(start)] = true;
            _longest = Math.Max(_longest, bytes.Length);
            Count++;
        }
    }

    /// <summary>How many strings are searched for.</summary>
    internal int Count { get; }

    /// <summary>Searches all RAM.</summary>
    /// <returns>The names of the strings found, each once, and how many bytes were looked at.</returns>
    internal (SortedSet<string> Found, ulong Searched) In(IGuestMemory memory)
    {
        SortedSet<string> found = new(StringComparer.Ordinal);
        ulong searched = 0;
        byte[] block = new byte[BlockSize + _longest];
        foreach (PhysicalRange range in memory.Ranges)
        {
            // Blocks overlap by what a string may stick out.
            for (ulong at = 0; at < range.Length; at += BlockSize)
            {
                Span<byte> part = block.AsSpan(0, (int)Math.Min((ulong)block.Length, range.Length - at));
                memory.Read(range.Start + at, part);
                Search(part, found);
                searched += Math.Min(BlockSize, range.Length - at);
            }
        }

        return (found, searched);
    }

    private static int Place(ulong start) => (int)((start * 0x9e3779b97f4a7c15) >> (64 - FilterBits));

    private void Search(ReadOnlySpan<byte> block, SortedSet<string> found)
    {
        for (int i = 0; i + sizeof(ulong) <= block.Length; i++)
        {
            ulong start = MemoryMarshal.Read<ulong>(block[i..]);
            if (!_filter[Place(start)] || !_byStart.TryGetValue(start, out List<(string Name, byte[] Bytes)>? candidates))
            {
                continue;
            }

            foreach ((string name, byte[] bytes) in candidates)
            {
                if (block[i..].StartsWith(bytes))
                {
                    found.Add(name);
                }
            }
        }
    }
}

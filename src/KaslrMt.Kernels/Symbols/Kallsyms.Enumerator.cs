using System.Buffers.Binary;

namespace KaslrMt.Kernels;

/// <content>Walking the compressed names.</content>
public sealed partial class Kallsyms
{
    /// <summary>Walks all symbols by ascending address.</summary>
    public ref struct Enumerator
    {
        private readonly Kallsyms _tables;
        private readonly byte[] _name;
        private NameWalk _walk;
        private int _length;

        internal Enumerator(Kallsyms tables, int first)
        {
            _tables = tables;
            _name = new byte[MaxNameBytes + 1];
            _walk = new NameWalk(tables, first);
        }

        /// <summary>The symbol; valid until the next <see cref="MoveNext"/>.</summary>
        public readonly KallsymsEntry Current =>
            new(_walk.Symbol, _name.AsSpan(0, _length), _tables._addresses[_walk.Memory, _walk.Symbol]);

        /// <summary>Goes to the next symbol.</summary>
        public bool MoveNext()
        {
            if (!_walk.MoveNext())
            {
                return false;
            }

            _length = _tables._tokens.Expand(_walk.Codes, _name);
            return true;
        }
    }

    /// <summary>Walks the compressed names. Their lengths were checked when the tables were found.</summary>
    private ref struct NameWalk
    {
        private readonly int _count;
        private int _codes;
        private int _end;

        public NameWalk(Kallsyms tables, int first)
        {
            Memory = tables._memory.Span;
            _count = tables.Count;
            int group = first / KallsymsSearch.SymbolsPerMarker;
            Symbol = (group * KallsymsSearch.SymbolsPerMarker) - 1;
            _end = tables._names
                + (int)BinaryPrimitives.ReadUInt32LittleEndian(Memory[(tables._markers + (group * sizeof(uint)))..]);
            while (Symbol + 1 < first)
            {
                MoveNext();
            }
        }

        public ReadOnlySpan<byte> Memory { get; }

        public int Symbol { get; private set; }

        public readonly ReadOnlySpan<byte> Codes => Memory[_codes.._end];

        public bool MoveNext() => MoveNext(null);

        /// <summary>Goes to the next symbol that <paramref name="wanted"/> may contain.</summary>
        public bool MoveNext(NameSet? wanted)
        {
            ReadOnlySpan<byte> memory = Memory;
            int at = _end;
            for (int symbol = Symbol + 1; symbol < _count; symbol++)
            {
                int length = memory[at++];
                if (length >= 0x80)
                {
                    length = (length & 0x7f) | (memory[at++] << 7);
                }

                int codes = at;
                at += length;
                if (wanted is null || wanted.MayContain(memory, codes, at))
                {
                    _codes = codes;
                    _end = at;
                    Symbol = symbol;
                    return true;
                }
            }

            return false;
        }
    }
}

using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace KaslrMt.Kernels.Tests.Symbols;

/// <summary>A small made-up kernel memory with kallsyms tables of any layout, and what they say.</summary>
internal sealed class SyntheticKallsyms
{
    public const ulong Base = 0xffff_ffff_9c00_0000;

    private const int TextBytes = 0x4000;
    private const string Characters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.$";

    private readonly Random _random;
    private readonly ArrayBufferWriter<byte> _memory = new();
    private readonly string[] _tokens = new string[256];
    private readonly ILookup<char, int> _codes;

    public SyntheticKallsyms(SyntheticLayout layout, int seed, int count = 1200)
    {
        _random = new Random(seed);
        Layout = layout;
        Symbols = MakeSymbols(count);
        MakeTokens();
        _codes = Enumerable.Range(0, _tokens.Length).ToLookup(code => _tokens[code][0]);
        var text = new byte[TextBytes];
        _random.NextBytes(text);
        _memory.Write(text.AsSpan());
        Start = TextBytes;
        if (layout.Order == KallsymsOrder.OffsetsFirst)
        {
            WriteOffsets();
            WriteNames();
            if (layout.Sequences)
            {
                WriteSequences();
            }

            WriteTokens();
        }
        else
        {
            WriteNames();
            WriteTokens();
            WriteOffsets();
            WriteSequences();
        }

        End = _memory.WrittenCount;
        _memory.Write(text.AsSpan(0, 0x400));
        Memory = _memory.WrittenSpan.ToArray();
    }

    public SyntheticLayout Layout { get; }

    public List<KallsymsSymbol> Symbols { get; }

    public byte[] Memory { get; }

    /// <summary>Where the tables begin.</summary>
    public int Start { get; }

    /// <summary>Where the tables end.</summary>
    public int End { get; }

    public Kallsyms Read() => Kallsyms.Read(Memory, new VirtualAddress(Base));

    private List<KallsymsSymbol> MakeSymbols(int count)
    {
        List<KallsymsSymbol> symbols = [];
        ulong address = Base;
        int absolute = Layout.Addressing == KallsymsAddressing.AbsolutePerCpu ? count / 10 : 0;
        ulong value = 0;
        for (int i = 0; i < count; i++)
        {
            // Now and then a name that was there before, an alias, and a name whose length needs two bytes.
            string name = i > 0 && _random.Next(20) == 0
                ? symbols[_random.Next(i)].Name
                : RandomName(_random.Next(50) == 0 ? _random.Next(200, 500) : _random.Next(1, 30));
            bool isAbsolute = i < absolute;
            symbols.Add(new KallsymsSymbol(
                i, isAbsolute ? 'A' : "TtDdBbRr"[_random.Next(8)], name, new VirtualAddress(isAbsolute ? value : address)));
            ulong step = _random.Next(4) == 0 ? 0 : (ulong)_random.Next(1, 200);
            value += isAbsolute ? step : 0;
            address += isAbsolute ? 0 : step;
        }

        return symbols;
    }

    private string RandomName(int length) =>
        string.Create(length, _random, (name, random) =>
        {
            for (int i = 0; i < name.Length; i++)
            {
                name[i] = Characters[random.Next(Characters.Length)];
            }
        });

    private void MakeTokens()
    {
        for (int code = 0; code < _tokens.Length; code++)
        {
            string name = Symbols[_random.Next(Symbols.Count)] is { } symbol ? symbol.Type + symbol.Name : "";
            int start = _random.Next(3) == 0 ? 0 : _random.Next(name.Length);
            _tokens[code] = code < 128 && Characters.Contains((char)code, StringComparison.Ordinal)
                ? ((char)code).ToString()
                : name.Substring(start, Math.Min(name.Length - start, _random.Next(2, 8)));
        }
    }

    private byte[] Compress(string name)
    {
        List<byte> codes = [];
        for (int at = 0; at < name.Length;)
        {
            // Long names stay uncompressed, so that their lengths need two bytes.
            int position = at;
            int[] fitting = name.Length > 200
                ? [name[at]]
                : [.. _codes[name[at]].Where(code => name.AsSpan(position).StartsWith(_tokens[code], StringComparison.Ordinal))];
            int chosen = fitting[_random.Next(fitting.Length)];
            codes.Add((byte)chosen);
            at += _tokens[chosen].Length;
        }

        return [.. codes];
    }

    private void WriteNames()
    {
        Align();
        WriteUInt32((uint)Symbols.Count);
        Align();
        int start = _memory.WrittenCount;
        List<uint> markers = [];
        foreach (KallsymsSymbol symbol in Symbols)
        {
            if (symbol.Index % 256 == 0)
            {
                markers.Add((uint)(_memory.WrittenCount - start));
            }

            byte[] codes = Compress(symbol.Type + symbol.Name);
            if (codes.Length > 0x7f)
            {
                _memory.Write([(byte)(codes.Length & 0x7f | 0x80), (byte)(codes.Length >> 7)]);
            }
            else
            {
                _memory.Write([(byte)codes.Length]);
            }

            _memory.Write(codes.AsSpan());
        }

        Align();
        markers.ForEach(WriteUInt32);
    }

    private void WriteTokens()
    {
        Align();
        List<ushort> index = [];
        int start = _memory.WrittenCount;
        foreach (string token in _tokens)
        {
            index.Add((ushort)(_memory.WrittenCount - start));
            _memory.Write(Encoding.ASCII.GetBytes(token).AsSpan());
            _memory.Write([(byte)0]);
        }

        Align();
        Span<byte> entry = stackalloc byte[sizeof(ushort)];
        foreach (ushort value in index)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(entry, value);
            _memory.Write(entry);
        }
    }

    private void WriteOffsets()
    {
        Align();
        foreach (KallsymsSymbol symbol in Symbols)
        {
            ulong place = Base + (ulong)_memory.WrittenCount;
            WriteUInt32(Layout.Addressing switch
            {
                KallsymsAddressing.PlaceRelative => (uint)(symbol.Address.Value - place),
                KallsymsAddressing.BaseRelative => (uint)(symbol.Address.Value - Base),
                _ => symbol.Type == 'A' ? (uint)symbol.Address.Value : (uint)(Base - 1 - symbol.Address.Value),
            });
        }

        if (Layout.Addressing != KallsymsAddressing.PlaceRelative)
        {
            Pad(8);
            Span<byte> bytes = stackalloc byte[sizeof(ulong)];
            BinaryPrimitives.WriteUInt64LittleEndian(bytes, Base);
            _memory.Write(bytes);
        }
    }

    private void WriteSequences()
    {
        Align();
        foreach (KallsymsSymbol symbol in Symbols.OrderBy(symbol => symbol.Name, StringComparer.Ordinal).ThenBy(symbol => symbol.Index))
        {
            _memory.Write([(byte)(symbol.Index >> 16), (byte)(symbol.Index >> 8), (byte)symbol.Index]);
        }
    }

    private void WriteUInt32(uint value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        _memory.Write(bytes);
    }

    private void Align() => Pad(Layout.Alignment);

    private void Pad(int alignment)
    {
        while (_memory.WrittenCount % alignment != 0)
        {
            _memory.Write([(byte)0]);
        }
    }
}

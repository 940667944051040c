using System.Buffers.Binary;
using System.Text;

namespace KaslrMt.Kernels.Tests;

/// <summary>A real kernel, unpacked, for tests to damage on purpose at places that they name by symbol.</summary>
internal sealed class HostileKernel
{
    private readonly Kallsyms _symbols;
    private readonly int _memory;

    public HostileKernel(string name)
    {
        File = RealKernel.ReadUnpacked(name);
        Elf = ElfImage.Read(File);
        ElfSegment text = Elf.Loads[0];
        _memory = text.FileOffset;
        _symbols = Kallsyms.Copy(File.AsSpan(text.FileOffset, text.FileSize), text.VirtualAddress);
    }

    /// <summary>The ELF and the relocation table behind it.</summary>
    public byte[] File { get; }

    /// <summary>Its headers, undamaged.</summary>
    public ElfImage Elf { get; }

    /// <summary>Where program header <paramref name="index"/> lies.</summary>
    public int ProgramHeader(int index) => (int)BinaryPrimitives.ReadUInt64LittleEndian(File.AsSpan(32)) + (index * 56);

    /// <summary>Where the kernel's own PT_LOADs lie among the program headers, as its file orders them.</summary>
    public int[] LoadHeaders() => [.. Enumerable.Range(0, Elf.Segments.Length).Where(i => Elf.Segments[i].Type == ElfSegmentType.Load).Select(ProgramHeader)];

    /// <summary>The link address of a symbol.</summary>
    public VirtualAddress Address(string symbol) => _symbols.Resolve(symbol)[0];

    /// <summary>A symbol's bytes.</summary>
    public Span<byte> Bytes(string symbol, int length) => Bytes(Address(symbol), length);

    /// <summary>The bytes at a link address.</summary>
    public Span<byte> Bytes(VirtualAddress address, int length)
    {
        Assert.True(Elf.TryGetFileOffset(address, length, out int offset));
        return File.AsSpan(offset, length);
    }

    /// <summary>A function's instructions.</summary>
    public KernelFunction Function(string symbol) =>
        KernelFunction.Decode(File, Elf, symbol, Address(symbol), _symbols.Find(Address(symbol))?.Size ?? 0);

    /// <summary>Whether the kernel has the symbol.</summary>
    public bool Has(string symbol) => _symbols.All(symbol).Count > 0;

    /// <summary>Gives every symbol of that name another last token, so that none is left.</summary>
    public void Hide(string symbol)
    {
        foreach (KallsymsSymbol found in _symbols.All(symbol))
        {
            Span<byte> codes = Codes(found.Index);
            codes[^1] = (byte)(codes[^1] == 'q' ? 'z' : 'q');
        }
    }

    /// <summary>Gives some symbol that name instead of its own, spelled in the letters' own codes.</summary>
    public void Introduce(string symbol)
    {
        byte[] spelled = Encoding.ASCII.GetBytes("T" + symbol);
        for (int index = 0; index < _symbols.Count; index++)
        {
            Span<byte> codes = Codes(index);
            if (codes.Length == spelled.Length)
            {
                spelled.CopyTo(codes);
                return;
            }
        }

        Assert.Fail($"no symbol of {spelled.Length} codes");
    }

    /// <summary>What the inspection says is wrong.</summary>
    public KaslrMtException? Inspect()
    {
        using KernelInspection found = KernelInspection.Of(File);
        return found.Problem;
    }

    private Span<byte> Codes(int index)
    {
        int at = _memory + _symbols.Layout.Names;
        for (int i = 0; ; i++)
        {
            int length = File[at++];
            if (length >= 0x80)
            {
                length = (length & 0x7f) | (File[at++] << 7);
            }

            if (i == index)
            {
                return File.AsSpan(at, length);
            }

            at += length;
        }
    }
}

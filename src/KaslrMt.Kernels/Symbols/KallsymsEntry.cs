using System.Text;

namespace KaslrMt.Kernels;

/// <summary>A symbol while it is enumerated; valid until the enumerator moves on.</summary>
public readonly ref struct KallsymsEntry
{
    internal KallsymsEntry(int index, ReadOnlySpan<byte> typeAndName, ulong address)
    {
        Index = index;
        Type = typeAndName.IsEmpty ? '?' : (char)typeAndName[0];
        NameBytes = typeAndName.IsEmpty ? typeAndName : typeAndName[1..];
        Address = new VirtualAddress(address);
    }

    /// <summary>Its number in the tables: ascending addresses.</summary>
    public int Index { get; }

    /// <summary>Its type as in <c>/proc/kallsyms</c>; '?' for an entry without any name.</summary>
    public char Type { get; }

    /// <summary>Its name, printable ASCII, at most <see cref="Kallsyms.MaxNameBytes"/>.</summary>
    public ReadOnlySpan<byte> NameBytes { get; }

    /// <summary>Its name as a new string.</summary>
    public string Name => Encoding.ASCII.GetString(NameBytes);

    /// <summary>Its address, or for an absolute (per-CPU) symbol its value.</summary>
    public VirtualAddress Address { get; }

    /// <summary>A copy that outlives the enumeration.</summary>
    public KallsymsSymbol ToSymbol() => new(Index, Type, Name, Address);
}

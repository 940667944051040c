using System.Diagnostics.CodeAnalysis;

namespace KaslrMt.Kernels;

/// <summary>
/// A kernel's own symbol table, found in its memory: an unpacked image laid out as loaded, or a running guest's memory. Source:
/// <c>scripts/kallsyms.c</c>, <c>kernel/kallsyms.c</c>, 5.x to 7.x, x86-64.
/// </summary>
/// <remarks>
/// Addresses come out as the memory has them: link addresses from an image before relocation, run-time addresses afterwards.
/// Instances are immutable and safe for use by several threads.
/// </remarks>
public sealed partial class Kallsyms
{
    /// <summary>Longest name given, in bytes; a longer one is cut off, as the kernel does at KSYM_NAME_LEN (128, from 6.1 512).</summary>
    public const int MaxNameBytes = 1023;

    /// <summary>Most memory searched, in bytes: 1 GiB, all that a kernel image can cover (KERNEL_IMAGE_SIZE). The rest is ignored.</summary>
    public const int MaxSearched = 1 << 30;

    private readonly ReadOnlyMemory<byte> _memory;
    private readonly TokenTable _tokens;
    private readonly AddressTable _addresses;
    private readonly int _names;
    private readonly int _markers;

    private Kallsyms(
        ReadOnlyMemory<byte> memory, int memoryAt, TokenTable tokens, in KallsymsLayout layout, in AddressTable addresses)
    {
        _memory = memory;
        _tokens = tokens;
        _names = layout.Names - memoryAt;
        _markers = layout.Markers - memoryAt;
        _addresses = addresses with { Offsets = addresses.Offsets - memoryAt };
        Layout = layout;
    }

    /// <summary>Which layout the tables have and where they lie.</summary>
    public KallsymsLayout Layout { get; }

    /// <summary>Number of symbols.</summary>
    public int Count => _addresses.Count;

    /// <summary>The symbol with number <paramref name="index"/>, 0 to <see cref="Count"/> − 1.</summary>
    public KallsymsSymbol this[int index]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfNegative(index);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
            Enumerator symbols = new(this, index);
            symbols.MoveNext();
            return symbols.Current.ToSymbol();
        }
    }

    /// <summary>Finds the tables and reads them where they are. The memory must stay as it is while this object is used.</summary>
    /// <param name="image">The kernel's memory: its segments laid out as loaded, so that position = address − base.</param>
    /// <param name="imageBase">The virtual address of the first byte, divisible by 8.</param>
    /// <exception cref="KaslrMtException">KMT2401 no tables; KMT2402 tables that contradict each other (which, and where).</exception>
    public static Kallsyms Read(ReadOnlyMemory<byte> image, VirtualAddress imageBase) =>
        TryRead(image, imageBase, out Kallsyms? tables, out KaslrMtException? error) ? tables : throw error;

    /// <summary>As <see cref="Read"/>, where memory without tables is an ordinary case.</summary>
    /// <param name="image">The kernel's memory: its segments laid out as loaded, so that position = address − base.</param>
    /// <param name="imageBase">The virtual address of the first byte, divisible by 8.</param>
    /// <param name="tables">The tables.</param>
    /// <param name="error">What <see cref="Read"/> would throw.</param>
    public static bool TryRead(
        ReadOnlyMemory<byte> image,
        VirtualAddress imageBase,
        [NotNullWhen(true)] out Kallsyms? tables,
        [NotNullWhen(false)] out KaslrMtException? error)
    {
        tables = TryFind(image.Span, imageBase, out KallsymsLayout layout, out AddressTable addresses, out error)
            ? new Kallsyms(image, 0, TokenTable.Read(image.Span, layout.TokenTable, layout.TokenIndex), layout, addresses)
            : null;
        return error is null && tables is not null;
    }

    /// <summary>Finds the tables and keeps a copy of them (2–5 MB), so that the memory may go or change afterwards.</summary>
    /// <param name="image">The kernel's memory: its segments laid out as loaded, so that position = address − base.</param>
    /// <param name="imageBase">The virtual address of the first byte, divisible by 8.</param>
    /// <exception cref="KaslrMtException">KMT2401 no tables; KMT2402 tables that contradict each other (which, and where).</exception>
    public static Kallsyms Copy(ReadOnlySpan<byte> image, VirtualAddress imageBase) =>
        TryCopy(image, imageBase, out Kallsyms? tables, out KaslrMtException? error) ? tables : throw error;

    /// <summary>As <see cref="Copy"/>, where memory without tables is an ordinary case.</summary>
    /// <param name="image">The kernel's memory: its segments laid out as loaded, so that position = address − base.</param>
    /// <param name="imageBase">The virtual address of the first byte, divisible by 8.</param>
    /// <param name="tables">The tables.</param>
    /// <param name="error">What <see cref="Copy"/> would throw.</param>
    public static bool TryCopy(
        ReadOnlySpan<byte> image,
        VirtualAddress imageBase,
        [NotNullWhen(true)] out Kallsyms? tables,
        [NotNullWhen(false)] out KaslrMtException? error)
    {
        tables = null;
        if (!TryFind(image, imageBase, out KallsymsLayout layout, out AddressTable addresses, out error))
        {
            return false;
        }

        int offsetsEnd = layout.Offsets + (layout.SymbolCount * AddressTable.EntryBytes);
        int start = Math.Min(layout.Names, layout.Offsets);
        int end = Math.Max(layout.TokenTable, offsetsEnd);
        TokenTable tokens = TokenTable.Read(image, layout.TokenTable, layout.TokenIndex);
        tables = new Kallsyms(image[start..end].ToArray(), start, tokens, layout, addresses);
        return true;
    }

    /// <summary>All symbols by ascending address, without a string for each: <c>foreach (KallsymsEntry symbol in tables)</c>.</summary>
    public Enumerator GetEnumerator() => new(this, 0);

    private static bool TryFind(
        ReadOnlySpan<byte> image,
        VirtualAddress imageBase,
        out KallsymsLayout layout,
        out AddressTable addresses,
        [NotNullWhen(false)] out KaslrMtException? error)
    {
        if (imageBase.Value % sizeof(ulong) != 0)
        {
            throw new ArgumentException("The address of the first byte must be divisible by 8.", nameof(imageBase));
        }

        image = image[..Math.Min(image.Length, MaxSearched)];
        KallsymsSearch search = new(image, imageBase);
        bool found = search.TryFind(out layout, out addresses);
        error = found ? null : search.Fault.ToException(image.Length);
        return found;
    }
}

using System.Buffers.Binary;

namespace KaslrMt.Guests;

/// <summary>The symbols of one module, read when they are first asked for.</summary>
internal sealed class ModuleSymbols
{
    // xfs and amdgpu have some ten thousand.
    private const uint MostSymbols = 200_000;
    private const int SymbolBytes = 24;
    private const int SectionAt = 6;
    private const int ValueAt = 8;

    // KSYM_NAME_LEN.
    private const int LongestName = 512;
    private const int PageSize = 4096;

    // Nameless and mapping symbols are passed over; a module has few of them next to one another.
    private const int MostPassedOver = 64;

    private readonly KernelReader _read;
    private readonly VirtualAddress _names;
    private readonly (ulong Address, uint Name)[] _symbols = [];

    internal ModuleSymbols(KernelReader read, ModuleSymbolTable table)
    {
        _read = read;
        _names = table.Names;
        if (table.Count is < 2 or > MostSymbols)
        {
            return;
        }

        var bytes = new byte[table.Count * SymbolBytes];
        if (read(table.Table, bytes))
        {
            // The first symbol of an ELF table is none; one without a section is another module's.
            _symbols = [.. Enumerable.Range(1, (int)table.Count - 1)
                .Where(i => BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan((i * SymbolBytes) + SectionAt)) != 0)
                .Select(i => (BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan((i * SymbolBytes) + ValueAt)), BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(i * SymbolBytes))))
                .OrderBy(symbol => symbol.Item1)];
        }
    }

    /// <summary>The addresses of all of them, ascending.</summary>
    internal IEnumerable<ulong> Addresses => _symbols.Select(symbol => symbol.Address);

    /// <summary>The last symbol at or below an address in the same area; of several with one address the first in the table, as the kernel has it.</summary>
    internal (string Name, VirtualAddress Address)? Find(ModuleArea area, VirtualAddress address)
    {
        (int low, int high) = (0, _symbols.Length);
        while (low < high)
        {
            int middle = (low + high) / 2;
            (low, high) = _symbols[middle].Address <= address.Value ? (middle + 1, high) : (low, middle);
        }

        (string Name, VirtualAddress Address)? found = null;
        int passed = 0;
        for (int i = low - 1; i >= 0 && _symbols[i].Address >= area.Address.Value && passed < MostPassedOver; i--, passed++)
        {
            if (found is not null && found.Value.Address.Value != _symbols[i].Address)
            {
                break;
            }

            // The kernel passes over the compilers' own (is_mapping_symbol, include/linux/module_symbol.h).
            string name = Name(_symbols[i].Name);
            if (name.Length > 0 && name[0] != '$' && !name.StartsWith(".L", StringComparison.Ordinal) && !name.StartsWith("L0", StringComparison.Ordinal))
            {
                found = (name, new VirtualAddress(_symbols[i].Address));
            }
        }

        return found;
    }

    private string Name(uint offset)
    {
        // In two steps at the most, so that a name just before the end of the mapped memory is read too.
        VirtualAddress at = _names + offset;
        var bytes = new byte[LongestName];
        int first = Math.Min(LongestName, PageSize - (int)(at.Value % PageSize));
        if (!_read(at, bytes.AsSpan(0, first)))
        {
            return "";
        }

        if (first < LongestName && !bytes.AsSpan(0, first).Contains((byte)0))
        {
            _read(at + (ulong)first, bytes.AsSpan(first));
        }

        return KernelText.Of(bytes);
    }
}

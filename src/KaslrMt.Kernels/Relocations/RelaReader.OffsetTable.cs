using System.Buffers.Binary;

namespace KaslrMt.Kernels;

internal readonly ref partial struct RelaReader
{
    /// <summary>
    /// The type says what the compiler asked for; what the linker made of it shows only in the bytes: the distance to a slot
    /// of the table (which holds an address), the distance to the symbol itself, or the symbol's address.
    /// </summary>
    private void SortOffsetTable(RelaSymbols symbols, ulong place, uint symbol, RelaSymbolKind kind, long addend)
    {
        uint entry = Entry(place);
        if (!_elf.TryGetFileOffset(RelocationTable.LinkAddress(entry), sizeof(uint), out int offset))
        {
            throw Damaged(KernelErrors.RelocationOutside, $"relocation at link address 0x{place:x16}: expected bytes that the file holds");
        }

        uint found = BinaryPrimitives.ReadUInt32LittleEndian(_file[offset..]);
        ulong value = symbols.Value(symbol);
        ulong slot = unchecked(place + (ulong)(int)found - (ulong)addend);
        if (found == unchecked((uint)(value + (ulong)addend - place)))
        {
            AddDistance(place, kind);
        }
        else if (found == (uint)value)
        {
            if (Moves(symbols, place, symbol, kind))
            {
                _add32.Add(entry);
            }
        }
        else if (_elf.TryGetFileOffset(new VirtualAddress(slot), sizeof(ulong), out int slotOffset)
            && BinaryPrimitives.ReadUInt64LittleEndian(_file[slotOffset..]) == value)
        {
            if (Moves(symbols, place, symbol, kind))
            {
                _slots.Add(Entry(slot));
            }
        }
        else
        {
            throw Damaged(
                KernelErrors.RelaBytes,
                $"relocation at link address 0x{place:x16} to symbol {symbols.ShownName(symbol)}: "
                + $"its bytes 0x{found:x8} lead neither to the symbol nor to its slot in the global offset table");
        }
    }
}

using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace KaslrMt.Kernels;

/// <summary>How the entries of <c>kallsyms_offsets</c> are read as addresses.</summary>
/// <param name="Addressing">What an entry means.</param>
/// <param name="Offsets">Position of the entries in the memory that is read.</param>
/// <param name="Count">Number of entries.</param>
/// <param name="Origin">relative_base, or for place-relative entries the address of the first entry.</param>
internal readonly record struct AddressTable(KallsymsAddressing Addressing, int Offsets, int Count, ulong Origin)
{
    /// <summary>Bytes of an entry.</summary>
    public const int EntryBytes = sizeof(int);

    /// <summary>
    /// Farthest that a kernel symbol lies from the kernel's own memory, in bytes: KERNEL_IMAGE_SIZE, what the kernel text mapping covers.
    /// </summary>
    public const ulong Reach = 1UL << 30;

    /// <summary>The address of symbol <paramref name="symbol"/>.</summary>
    public ulong this[ReadOnlySpan<byte> memory, int symbol] => Address(Entry(memory, symbol), symbol);

    /// <summary>Whether symbol <paramref name="symbol"/> is an absolute value (per-CPU), not an address in the kernel image.</summary>
    public bool IsAbsolute(ReadOnlySpan<byte> memory, int symbol) =>
        Addressing == KallsymsAddressing.AbsolutePerCpu && Entry(memory, symbol) >= 0;

    /// <summary>
    /// Whether the entries can be this kind of table: addresses in ascending order (the kernel searches them by halves, so a true table
    /// always is), none farther than <see cref="Reach"/> from the kernel, and more addresses than absolute values.
    /// </summary>
    /// <param name="memory">The kernel's memory; the entries lie inside.</param>
    /// <param name="imageBase">The address of its first byte.</param>
    /// <param name="bad">The first symbol that contradicts.</param>
    public bool IsPlausible(ReadOnlySpan<byte> memory, ulong imageBase, out int bad)
    {
        ulong low = imageBase > Reach ? imageBase - Reach : 0;
        ulong high = ulong.MaxValue - imageBase - (uint)memory.Length > Reach ? imageBase + (uint)memory.Length + Reach : ulong.MaxValue;
        ulong previous = 0;
        int absolute = 0;
        ReadOnlySpan<int> entries = MemoryMarshal.Cast<byte, int>(memory.Slice(Offsets, Count * EntryBytes));
        for (bad = 0; bad < entries.Length; bad++)
        {
            int entry = entries[bad];
            ulong address = Address(entry, bad);
            if (Addressing == KallsymsAddressing.AbsolutePerCpu && entry >= 0)
            {
                absolute++;
            }
            else if (address < low || address > high)
            {
                return false;
            }

            if (address < previous)
            {
                return false;
            }

            previous = address;
        }

        // The tables are read-only data, which follows the code: the lowest symbol lies below them. Without this, offsets from a base
        // would pass for place-relative ones where the memory ends before the base.
        bad = 0;
        return absolute < Count - absolute && (Addressing != KallsymsAddressing.PlaceRelative || entries[0] < 0);
    }

    private int Entry(ReadOnlySpan<byte> memory, int symbol) =>
        BinaryPrimitives.ReadInt32LittleEndian(memory[(Offsets + (symbol * EntryBytes))..]);

    private ulong Address(int entry, int symbol) => unchecked(Addressing switch
    {
        KallsymsAddressing.PlaceRelative => Origin + (ulong)((long)symbol * EntryBytes) + (ulong)entry,
        KallsymsAddressing.BaseRelative => Origin + (uint)entry,
        _ => entry >= 0 ? (ulong)entry : Origin - 1 - (ulong)entry,
    });
}

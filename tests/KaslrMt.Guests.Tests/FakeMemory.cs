using System.Buffers.Binary;
using KaslrMt.Layout;

namespace KaslrMt.Guests.Tests;

/// <summary>A guest's RAM in an array, from address 0 up, and page tables built in it.</summary>
internal sealed class FakeMemory(int size) : IGuestMemory
{
    public const ulong Root = 0x1000;

    private readonly byte[] _ram = new byte[size];
    private ulong _nextTable = 0x10000;

    public int Reads { get; private set; }

    public IReadOnlyList<PhysicalRange> Ranges => [new(new PhysicalAddress(0), (ulong)_ram.Length)];

    public Span<byte> Ram => _ram;

    /// <summary>What the host knows to have been written; null for all.</summary>
    public IReadOnlyList<PhysicalRange>? Written { get; init; }

    public IReadOnlyList<PhysicalRange> FindWritten() => Written ?? Ranges;

    public void Read(PhysicalAddress address, Span<byte> destination)
    {
        if (!TryRead(address, destination))
        {
            throw new KaslrMtException(GuestErrors.NotRam, "outside");
        }
    }

    public bool TryRead(PhysicalAddress address, Span<byte> destination)
    {
        Reads++;
        if (address.Value > (ulong)_ram.Length || (ulong)destination.Length > (ulong)_ram.Length - address.Value)
        {
            return false;
        }

        _ram.AsSpan((int)address.Value, destination.Length).CopyTo(destination);
        return true;
    }

    public void WriteWord(ulong address, ulong word) => BinaryPrimitives.WriteUInt64LittleEndian(_ram.AsSpan((int)address), word);

    public ulong ReadWord(ulong address) => BinaryPrimitives.ReadUInt64LittleEndian(_ram.AsSpan((int)address));

    /// <summary>Maps one page: level 0 is 4 KiB, 1 is 2 MiB, 2 is 1 GiB.</summary>
    public void Map(ulong address, ulong target, int level = 0, ulong flags = 0x3, ulong root = Root)
    {
        ulong table = root;
        for (int at = 3; at > level; at--)
        {
            ulong entry = table + (((address >> (12 + (9 * at))) & 511) * 8);
            if (ReadWord(entry) == 0)
            {
                WriteWord(entry, _nextTable | 0x3);
                _nextTable += 0x1000;
            }

            table = ReadWord(entry) & 0x000ffffffffff000;
        }

        WriteWord(table + (((address >> (12 + (9 * level))) & 511) * 8), target | flags | (level > 0 ? 0x80UL : 0));
    }

    public void Dispose()
    {
        // An array needs no release.
    }
}

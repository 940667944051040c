using System.Buffers.Binary;

namespace KaslrMt.Guests.Tests;

/// <summary>RAM of 4 MiB whose page tables a test builds by hand.</summary>
internal sealed class SyntheticGuest : IGuestMemory
{
    private const int Size = 4 << 20;
    private const ulong Present = 1;

    private readonly byte[] _ram = new byte[Size];
    private ulong _nextTable = 0x100000;

    public IReadOnlyList<PhysicalRange> Ranges { get; } = [PhysicalRange.Between(0, Size)];

    public void Read(PhysicalAddress address, Span<byte> destination) => Assert.True(TryRead(address, destination));

    public bool TryRead(PhysicalAddress address, Span<byte> destination)
    {
        bool isRam = Ranges[0].Contains(address, (ulong)destination.Length);
        if (isRam)
        {
            _ram.AsSpan((int)address.Value, destination.Length).CopyTo(destination);
        }

        return isRam;
    }

    public void Dispose()
    {
    }

    /// <summary>Maps one 4 KiB page in the tables whose top is at <paramref name="root"/>.</summary>
    internal void Map(ulong root, ulong address, ulong target)
    {
        ulong table = root;
        for (int shift = 39; shift > 12; shift -= 9)
        {
            ulong place = table + (((address >> shift) & 511) * 8);
            if (Word(place) == 0)
            {
                SetWord(place, _nextTable | Present);
                _nextTable += 4096;
            }

            table = Word(place) & ~4095UL;
        }

        SetWord(table + (((address >> 12) & 511) * 8), target | Present);
    }

    internal void SetWord(ulong address, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(_ram.AsSpan((int)address), value);

    private ulong Word(ulong address) => BinaryPrimitives.ReadUInt64LittleEndian(_ram.AsSpan((int)address));
}

using System.Buffers.Binary;

namespace KaslrMt.Kernels.Tests;

/// <summary>The entry's page tables, walked as the processor does (Intel SDM volume 3, 4.5).</summary>
public sealed class IdentityMapTests
{
    private const ulong GiB = 1UL << 30;
    private const ulong MiB = 1UL << 20;

    public static TheoryData<ulong, ulong> Images => new()
    {
        { 16 * MiB, 60 * MiB },
        { 3 * GiB, GiB },
        { (4 * GiB) - (2 * MiB), 60 * MiB },
        { 5 * GiB, 60 * MiB },
        { (6 * GiB) - (30 * MiB), 60 * MiB },
        { (6 * GiB) - (2 * MiB), GiB },
        { (512 * GiB) - (2 * MiB), 60 * MiB },
        { 600 * GiB, 60 * MiB },
        { (1024 * GiB) - (2 * MiB), 60 * MiB },
        { (4096 * GiB) - (512 * MiB), GiB },
    };

    [Theory]
    [MemberData(nameof(Images))]
    public void The_first_4_GiB_and_the_image_are_mapped_to_themselves_and_nothing_else_is(ulong start, ulong size)
    {
        byte[] tables = Build(start, size);
        ulong end = start + size;
        for (ulong address = 0; address < 4 * GiB; address += 2 * MiB)
        {
            Assert.Equal(address + 0x1234, Walk(tables, address + 0x1234));
        }

        for (ulong address = start; address < end; address += MiB)
        {
            Assert.Equal(address, Walk(tables, address));
        }

        Assert.Equal(end - 1, Walk(tables, end - 1));
        foreach (ulong outside in (ulong[])[Math.Max(end, 4 * GiB) + GiB, 300 * GiB, 2048 * GiB, 0x7fff_ffff_f000])
        {
            Assert.Null(Walk(tables, outside));
        }
    }

    [Theory]
    [MemberData(nameof(Images))]
    public void Tables_lie_inside_their_room(ulong start, ulong size)
    {
        byte[] room = new byte[IdentityMap.Size + 4096];
        room.AsSpan(IdentityMap.Size).Fill(0xa5);
        IdentityMap.Build(room, EntryStub.PageTableAddress, new PhysicalAddress(start), size);

        Assert.Equal(-1, room.AsSpan(IdentityMap.Size).IndexOfAnyExcept((byte)0xa5));
    }

    private static byte[] Build(ulong start, ulong size)
    {
        byte[] tables = new byte[IdentityMap.Size];
        IdentityMap.Build(tables, EntryStub.PageTableAddress, new PhysicalAddress(start), size);
        return tables;
    }

    private static ulong? Walk(byte[] tables, ulong address)
    {
        ulong table = EntryStub.PageTableAddress;
        foreach (int shift in (int[])[39, 30, 21])
        {
            ulong at = table - EntryStub.PageTableAddress + (((address >> shift) & 511) * 8);
            Assert.InRange(at, 0u, (ulong)tables.Length - 8);
            ulong entry = BinaryPrimitives.ReadUInt64LittleEndian(tables.AsSpan((int)at));
            if ((entry & 1) == 0)
            {
                return null;
            }

            Assert.Equal(2u, entry & 2);
            table = entry & 0x000f_ffff_ffff_f000;
            Assert.Equal(shift == 21, (entry & 0x80) != 0);
        }

        return table + (address & ((2 * MiB) - 1));
    }
}

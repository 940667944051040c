using System.Buffers.Binary;

namespace KaslrMt.Kernels;

/// <summary>The page tables a guest enters long mode with: virtual = physical for the first 4 GiB and for the kernel's own place.</summary>
/// <remarks>2 MiB pages, which every x86-64 processor has. The kernel replaces them within its first instructions.</remarks>
internal static class IdentityMap
{
    private const int PageSize = 4096;
    private const int Entries = 512;
    private const ulong GiB = 1UL << 30;
    private const ulong TopEntrySpan = Entries * GiB;
    private const ulong PresentWritable = 0x3;
    private const ulong PresentWritableLarge = 0x83;

    // Top table, one PDPT for the first 512 GiB; four PDs for 4 GiB. An image of at most 1 GiB touches at most two GiBs, which lie in two
    // PDPTs more when a multiple of 512 GiB is between them.
    private const int Tables = 1 + 1 + 4 + 2 + 2;

    /// <summary>The room the tables need, in bytes.</summary>
    public const int Size = Tables * PageSize;

    /// <summary>Builds the tables.</summary>
    /// <param name="tables"><see cref="Size"/> zero bytes.</param>
    /// <param name="address">Where they will lie in guest-physical memory; a multiple of 4096. The top table comes first.</param>
    /// <param name="imageStart">The first byte of the kernel.</param>
    /// <param name="imageSize">The kernel's size in bytes, at most 1 GiB.</param>
    public static void Build(Span<byte> tables, uint address, PhysicalAddress imageStart, ulong imageSize)
    {
        int used = 1;
        for (ulong gib = 0; gib < 4; gib++)
        {
            MapGiB(tables, address, gib, ref used);
        }

        for (ulong gib = imageStart.Value / GiB; gib <= (imageStart.Value + imageSize - 1) / GiB; gib++)
        {
            MapGiB(tables, address, gib, ref used);
        }
    }

    private static void MapGiB(Span<byte> tables, uint address, ulong gib, ref int used)
    {
        int pdpt = NextLevel(tables, address, 0, (int)(gib * GiB / TopEntrySpan), ref used);
        int directory = NextLevel(tables, address, pdpt, (int)(gib % Entries), ref used);
        for (int i = 0; i < Entries; i++)
        {
            Write(tables, directory, i, ((gib * GiB) + ((ulong)i << 21)) | PresentWritableLarge);
        }
    }

    private static int NextLevel(Span<byte> tables, uint address, int table, int index, ref int used)
    {
        ulong entry = BinaryPrimitives.ReadUInt64LittleEndian(tables[((table * PageSize) + (index * 8))..]);
        if (entry != 0)
        {
            return (int)(((entry & ~0xfffUL) - address) / PageSize);
        }

        int next = used++;
        Write(tables, table, index, (address + ((ulong)next * PageSize)) | PresentWritable);
        return next;
    }

    private static void Write(Span<byte> tables, int table, int index, ulong entry) =>
        BinaryPrimitives.WriteUInt64LittleEndian(tables[((table * PageSize) + (index * 8))..], entry);
}

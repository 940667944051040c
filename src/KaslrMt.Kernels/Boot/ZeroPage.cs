using System.Buffers.Binary;

namespace KaslrMt.Kernels;

/// <summary>The zero page (<c>struct boot_params</c>, 4096 bytes): the part that is known before the VM starts, and the part that firmware tells.</summary>
/// <remarks>
/// Offsets from <c>Documentation/arch/x86/zero-page.rst</c>. In an image the second part (command line, initrd, RSDP, memory map) is filled in by
/// <see cref="EntryStub"/>; at the gate the host does it. Everything else stays zero, the sentinel at 0x1ef too, so that the kernel does not sanitize it away.
/// </remarks>
internal static class ZeroPage
{
    /// <summary>The size of the zero page in bytes.</summary>
    public const int Size = 4096;

    private const int BootFlag = 0x1fe;
    private const int Magic = 0x202;
    private const int Version = 0x206;
    private const int TypeOfLoader = 0x210;
    private const int LoadFlags = 0x211;
    private const int RamdiskImage = 0x218;
    private const int RamdiskSize = 0x21c;
    private const int CommandLinePointer = 0x228;
    private const int InitrdAddressMax = 0x22c;
    private const int KernelAlignment = 0x230;
    private const int RelocatableKernel = 0x234;
    private const int ExtendedLoadFlags = 0x236;
    private const int CommandLineSize = 0x238;
    private const int SetupData = 0x250;

    private const int Rsdp = 0x70;
    private const int MapCount = 0x1e8;
    private const int Map = 0x2d0;
    private const int MapEntrySize = 20;

    private const byte LoaderUndefined = 0xff;
    private const byte LoadedHigh = 1;
    private const byte KaslrFlag = 2;

    /// <summary>Fills <paramref name="page"/>.</summary>
    /// <param name="page">4096 zero bytes.</param>
    /// <param name="setupHeader">The bzImage's setup header from 0x1f1 on; empty for a bare vmlinux, which gets one of protocol 2.15.</param>
    /// <param name="alignment">CONFIG_PHYSICAL_ALIGN in bytes.</param>
    /// <param name="randomized">Whether the kernel is to believe that it was randomized (it then keeps randomizing what it still can,
    /// and prints the offset in a panic).</param>
    public static void Fill(Span<byte> page, ReadOnlySpan<byte> setupHeader, uint alignment, bool randomized)
    {
        if (setupHeader.IsEmpty)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(page[BootFlag..], 0xaa55);
            BinaryPrimitives.WriteUInt32LittleEndian(page[Magic..], 0x53726448);
            BinaryPrimitives.WriteUInt16LittleEndian(page[Version..], 0x020f);
            BinaryPrimitives.WriteUInt32LittleEndian(page[InitrdAddressMax..], 0x7fffffff);
            BinaryPrimitives.WriteUInt32LittleEndian(page[KernelAlignment..], alignment);
            page[RelocatableKernel] = 1;
            BinaryPrimitives.WriteUInt16LittleEndian(page[ExtendedLoadFlags..], 1);
            BinaryPrimitives.WriteUInt32LittleEndian(page[CommandLineSize..], 2047);
        }
        else
        {
            setupHeader.CopyTo(page[BzImage.HeaderStart..]);
        }

        page[TypeOfLoader] = LoaderUndefined;
        byte flags = (byte)(page[LoadFlags] | LoadedHigh);
        page[LoadFlags] = (byte)(randomized ? flags | KaslrFlag : flags & ~KaslrFlag);

        // An image may carry anything in the fields that a loader writes; none of it may reach the guest as an address.
        page.Slice(RamdiskImage, 8).Clear();
        page.Slice(CommandLinePointer, 4).Clear();
        page.Slice(SetupData, 8).Clear();
    }

    /// <summary>Fills in what firmware tells.</summary>
    /// <param name="page">A page that <see cref="Fill"/> has filled.</param>
    /// <param name="parameters">Firmware's words, and where command line and initrd lie.</param>
    public static void Complete(Span<byte> page, BootParameters parameters)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(page[CommandLinePointer..], parameters.CommandLine);
        BinaryPrimitives.WriteUInt64LittleEndian(page[Rsdp..], parameters.Rsdp);
        if (parameters.Initrd is PhysicalRange initrd)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(page[RamdiskImage..], (uint)initrd.Start.Value);
            BinaryPrimitives.WriteUInt32LittleEndian(page[RamdiskSize..], (uint)initrd.Length);
        }

        page[MapCount] = (byte)parameters.MemoryMap.Count;
        for (int i = 0; i < parameters.MemoryMap.Count; i++)
        {
            Span<byte> entry = page[(Map + (i * MapEntrySize))..];
            (PhysicalRange range, uint type) = parameters.MemoryMap[i];
            BinaryPrimitives.WriteUInt64LittleEndian(entry, range.Start.Value);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], range.Length);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[16..], type);
        }
    }
}

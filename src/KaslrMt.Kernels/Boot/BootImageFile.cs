using System.Buffers.Binary;
using System.Collections.Immutable;
using KaslrMt.Layout;

namespace KaslrMt.Kernels;

/// <summary>How the bootable ELF lies in its file, and how it is written.</summary>
/// <remarks>
/// <para>The file is <c>[front: ELF header, program headers, note, low segment][body: the kernel's segments, one behind the other]</c>. The body
/// depends on the kernel and its virtual base alone; the front and a few words in the body hold the rest of the layout. So one body
/// serves all VMs of a tenant.</para>
/// <para>QEMU's <c>-kernel</c> takes an ELF whose PT_NOTE carries <c>XEN_ELFNOTE_PHYS32_ENTRY</c> (type 18) as a PVH kernel. That note is a
/// PT_NOTE of its own outside every PT_LOAD: the kernel's in-memory <c>.notes</c>, which <c>/sys/kernel/notes</c> shows to everybody,
/// keeps its link values.</para>
/// </remarks>
internal static class BootImageFile
{
    /// <summary>Where the body starts, in bytes.</summary>
    public const int BodyOffset = 0x10000;

    private const int PageSize = 4096;

    // The headers before it: at most 64 segments of the kernel, each perhaps with a copy, the low segment and the note take 7.4 KiB.
    private const int LowSegmentOffset = 2 * PageSize;
    private const int LowSegmentSize = (2 * PageSize) + IdentityMap.Size;
    private const int ElfHeaderSize = 64;
    private const int ProgramHeaderSize = 56;

    // Between the low segment (1 MiB) and the lowest kernel slot (16 MiB), where nothing else is.
    private const uint RestoreSource = 0x200000;
    private const ulong RestoreRoom = 0x200000;

    private const uint PtLoad = 1;
    private const uint PtNote = 4;
    private const uint Readable = 4;
    private const uint ReadWriteExecute = 7;
    private const uint Phys32Entry = 18;

    /// <summary>Where each segment's bytes start in the file, page aligned; the last entry is the file's size.</summary>
    public static ImmutableArray<long> SegmentOffsets(IEnumerable<int> fileSizes)
    {
        ImmutableArray<long>.Builder offsets = ImmutableArray.CreateBuilder<long>();
        long next = BodyOffset;
        foreach (int size in fileSizes)
        {
            offsets.Add(next);
            next += (size + (PageSize - 1L)) & ~(PageSize - 1L);
        }

        offsets.Add(next);
        return offsets.ToImmutable();
    }

    /// <summary>Maps an offset in the unpacked kernel's file to the same byte's offset in the image's file.</summary>
    public static Func<int, long> OffsetInImage(ElfImage elf)
    {
        ImmutableArray<long> offsets = SegmentOffsets(elf.Loads.Select(load => load.FileSize));
        return offset =>
        {
            for (int i = 0; i < elf.Loads.Length; i++)
            {
                if (offset >= elf.Loads[i].FileOffset && offset < elf.Loads[i].FileEnd)
                {
                    return offsets[i] + (offset - elf.Loads[i].FileOffset);
                }
            }

            throw new ArgumentOutOfRangeException(nameof(offset), offset, "The offset lies in no loadable segment.");
        };
    }

    /// <summary>Writes the kernel's segments, as they lie in <paramref name="file"/>, to the body.</summary>
    public static void WriteBody(WholeFile output, ElfImage elf, ReadOnlySpan<byte> file)
    {
        ImmutableArray<long> offsets = SegmentOffsets(elf.Loads.Select(load => load.FileSize));
        for (int i = 0; i < elf.Loads.Length; i++)
        {
            output.Write(file.Slice(elf.Loads[i].FileOffset, elf.Loads[i].FileSize), offsets[i]);
        }

        // The last segment is padded too: a whole file's length is known beforehand.
        if (offsets[^1] > offsets[^2] + elf.Loads[^1].FileSize)
        {
            output.Write([0], offsets[^1] - 1);
        }
    }

    /// <summary>Writes all that depends on the layout: the front, and the regions into the body.</summary>
    /// <param name="output">The file, with the body in it.</param>
    /// <param name="kernel">The kernel.</param>
    /// <param name="layout">Where its regions lie.</param>
    /// <param name="overwritten">Memory that firmware writes to after the image is loaded; page aligned, at most 2 MiB, below 4 GiB; null for none.</param>
    /// <param name="modules">How the kernel places modules; with the link layout always by order.</param>
    /// <exception cref="KaslrMtException">KMT2507 when this kernel cannot place them by name.</exception>
    public static void WriteLayout(
        WholeFile output, KernelFacts kernel, KernelLayout layout, PhysicalRange? overwritten, ModuleAddresses modules = ModuleAddresses.ByOrder)
    {
        output.Write(BuildFront(kernel, layout.KernelPhysical, randomized: !layout.IsLink, overwritten), 0);
        if (layout.IsLink)
        {
            return;
        }

        WriteRegions(output.Write, kernel, layout, modules);
    }

    /// <summary>Writes the regions into a kernel that has been moved to its virtual base: what <c>kernel_randomize_memory</c> would have drawn.</summary>
    /// <param name="write">Takes bytes and their offset in an image's file.</param>
    /// <param name="kernel">The kernel.</param>
    /// <param name="layout">Where its regions lie; not the link layout.</param>
    /// <param name="modules">How the kernel places modules.</param>
    /// <exception cref="KaslrMtException">KMT2507 when this kernel cannot place them by name.</exception>
    public static void WriteRegions(BytesAtOffset write, KernelFacts kernel, KernelLayout layout, ModuleAddresses modules)
    {
        KernelFacts.PatchSites sites = kernel.Patch;
        write(BootPatch.Nop5, sites.RandomizeMemoryCall);
        WriteWord(write, sites.Physmap, layout.Physmap.Value);
        WriteWord(write, sites.Vmalloc, layout.Vmalloc.Value);
        WriteWord(write, sites.Vmemmap, layout.Vmemmap.Value);
        if (sites.DirectMapEnd is long end)
        {
            WriteWord(write, end, layout.DirectMapSize - 1);
        }

        if (sites.ModuleOffset is long draw)
        {
            write(ModuleOffsetSite.Instruction((int)layout[Region.Modules].Slot, sites.ModuleOffsetShift), draw);
        }

        if (modules == ModuleAddresses.ByName)
        {
            WriteModuleNames(write, kernel, layout[Region.Modules].Slot);
        }
    }

    /// <summary>Builds the front: everything before the body.</summary>
    /// <param name="kernel">The kernel.</param>
    /// <param name="physicalBase">Where its first byte is loaded.</param>
    /// <param name="randomized">Whether the kernel is to believe that it was randomized.</param>
    /// <param name="overwritten">As in <see cref="WriteLayout"/>.</param>
    public static byte[] BuildFront(KernelFacts kernel, PhysicalAddress physicalBase, bool randomized, PhysicalRange? overwritten = null)
    {
        var front = new byte[BodyOffset];
        ulong slide = physicalBase.Value - kernel.LinkPhysical;
        ImmutableArray<LoadedPart> body = Body(kernel, slide);
        PhysicalRange restored = Restored(kernel, slide, overwritten);
        ImmutableArray<LoadedPart> copies = [.. body.Select(part => part.CopyOf(restored)).OfType<LoadedPart>()];
        FillLowSegment(front.AsSpan(LowSegmentOffset, LowSegmentSize), kernel, physicalBase, slide, randomized, restored);

        ReadOnlySpan<LoadedPart> parts = [new(LowSegmentOffset, EntryStub.LoadAddress, LowSegmentSize, LowSegmentSize), .. body, .. copies];
        int noteOffset = ElfHeaderSize + ((parts.Length + 1) * ProgramHeaderSize);
        Span<byte> note = front.AsSpan(noteOffset, 24);
        BinaryPrimitives.WriteUInt32LittleEndian(note, 4);
        BinaryPrimitives.WriteUInt32LittleEndian(note[4..], 8);
        BinaryPrimitives.WriteUInt32LittleEndian(note[8..], Phys32Entry);
        "Xen\0"u8.CopyTo(note[12..]);
        BinaryPrimitives.WriteUInt64LittleEndian(note[16..], EntryStub.LoadAddress);

        WriteElfHeader(front, parts.Length + 1);
        Span<byte> table = front.AsSpan(ElfHeaderSize);
        foreach (LoadedPart part in parts)
        {
            WriteProgramHeader(table, PtLoad, part);
            table = table[ProgramHeaderSize..];
        }

        WriteProgramHeader(table, PtNote, new LoadedPart(noteOffset, 0, (ulong)note.Length, (ulong)note.Length));
        return front;
    }

    private static ImmutableArray<LoadedPart> Body(KernelFacts kernel, ulong slide)
    {
        ImmutableArray<long> offsets = SegmentOffsets(kernel.Segments.Select(segment => segment.FileSize));
        return [.. kernel.Segments.Select((segment, i) =>
            new LoadedPart(offsets[i], segment.PhysicalAddress + slide, (ulong)segment.FileSize, segment.MemorySize))];
    }

    /// <summary>What of the overwritten memory the kernel occupies.</summary>
    private static PhysicalRange Restored(KernelFacts kernel, ulong slide, PhysicalRange? overwritten)
    {
        if (overwritten is not PhysicalRange range)
        {
            return default;
        }

        if (range.Length > RestoreRoom || range.End.Value > 1UL << 32 || (range.Start.Value | range.Length) % PageSize != 0)
        {
            throw new ArgumentOutOfRangeException(nameof(overwritten), overwritten, "Expected whole pages, at most 2 MiB, below 4 GiB.");
        }

        ulong start = Math.Max(range.Start.Value, kernel.LinkPhysical + slide);
        ulong end = Math.Min(range.End.Value, kernel.Segments[^1].PhysicalAddress + kernel.Segments[^1].MemorySize + slide);
        return start < end ? PhysicalRange.Between(start, end) : default;
    }

    private static void FillLowSegment(
        Span<byte> low, KernelFacts kernel, PhysicalAddress physicalBase, ulong slide, bool randomized, PhysicalRange restored)
    {
        EntryStub.Code.CopyTo(low);
        BinaryPrimitives.WriteUInt16LittleEndian(low[EntryStub.GdtPointerOffset..], (ushort)((EntryStub.Gdt.Length * 8) - 1));
        BinaryPrimitives.WriteUInt32LittleEndian(low[(EntryStub.GdtPointerOffset + 2)..], EntryStub.LoadAddress + EntryStub.GdtOffset);
        for (int i = 0; i < EntryStub.Gdt.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(low[(EntryStub.GdtOffset + (8 * i))..], EntryStub.Gdt[i]);
        }

        BinaryPrimitives.WriteUInt64LittleEndian(low[EntryStub.KernelEntryOffset..], unchecked(kernel.Entry + slide));
        Span<byte> restore = low[EntryStub.RestoreOffset..];
        BinaryPrimitives.WriteUInt32LittleEndian(restore, RestoreSource);
        BinaryPrimitives.WriteUInt32LittleEndian(restore[4..], (uint)restored.Start.Value);
        BinaryPrimitives.WriteUInt32LittleEndian(restore[8..], (uint)(restored.Length / sizeof(ulong)));
        ZeroPage.Fill(low.Slice(PageSize, ZeroPage.Size), kernel.SetupHeader, kernel.Alignment, randomized);
        ulong end = kernel.Segments[^1].PhysicalAddress + kernel.Segments[^1].MemorySize;
        IdentityMap.Build(low[(2 * PageSize)..], EntryStub.PageTableAddress, physicalBase, end - kernel.LinkPhysical);
    }

    private static void WriteModuleNames(BytesAtOffset write, KernelFacts kernel, ulong slot)
    {
        ModuleNamePatch patch = kernel.ModuleNames ?? throw new KaslrMtException(
            KernelErrors.ModuleNames, kernel.ModuleNamesProblem ?? "this kernel cannot be made to place modules by name", "leave --module-addresses out, or use a kernel from 5.10 to 7.3");
        write(patch.CodeFor(slot), patch.CodeOffset);
        foreach (ModuleNamePatch.Jump jump in patch.Jumps)
        {
            write(jump.Bytes, jump.Offset);
        }
    }

    private static void WriteWord(BytesAtOffset write, long offset, ulong word)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, word);
        write(bytes, offset);
    }

    private static void WriteElfHeader(Span<byte> file, int programHeaders)
    {
        ReadOnlySpan<byte> identification = [0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1];
        identification.CopyTo(file);
        BinaryPrimitives.WriteUInt16LittleEndian(file[16..], 2); // ET_EXEC
        BinaryPrimitives.WriteUInt16LittleEndian(file[18..], 62); // EM_X86_64
        BinaryPrimitives.WriteUInt32LittleEndian(file[20..], 1);
        BinaryPrimitives.WriteUInt64LittleEndian(file[24..], EntryStub.LoadAddress);
        BinaryPrimitives.WriteUInt64LittleEndian(file[32..], ElfHeaderSize);
        BinaryPrimitives.WriteUInt16LittleEndian(file[52..], ElfHeaderSize);
        BinaryPrimitives.WriteUInt16LittleEndian(file[54..], ProgramHeaderSize);
        BinaryPrimitives.WriteUInt16LittleEndian(file[56..], (ushort)programHeaders);
    }

    private static void WriteProgramHeader(Span<byte> header, uint type, LoadedPart part)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(header, type);
        BinaryPrimitives.WriteUInt32LittleEndian(header[4..], type == PtLoad ? ReadWriteExecute : Readable);
        BinaryPrimitives.WriteUInt64LittleEndian(header[8..], (ulong)part.Offset);
        BinaryPrimitives.WriteUInt64LittleEndian(header[16..], part.Address);
        BinaryPrimitives.WriteUInt64LittleEndian(header[24..], part.Address);
        BinaryPrimitives.WriteUInt64LittleEndian(header[32..], part.FileSize);
        BinaryPrimitives.WriteUInt64LittleEndian(header[40..], part.MemorySize);
        BinaryPrimitives.WriteUInt64LittleEndian(header[48..], type == PtLoad ? PageSize : 4UL);
    }

    /// <summary>Bytes of the file and where they are loaded; physical address, sizes in bytes.</summary>
    private readonly record struct LoadedPart(long Offset, ulong Address, ulong FileSize, ulong MemorySize)
    {
        /// <summary>The part's bytes that must be put back, loaded where the stub finds them; null when there are none.</summary>
        public LoadedPart? CopyOf(PhysicalRange restored)
        {
            ulong start = Math.Max(Address, restored.Start.Value);
            ulong end = Math.Min(Address + FileSize, restored.End.Value);
            return start < end
                ? new LoadedPart(Offset + (long)(start - Address), RestoreSource + (start - restored.Start.Value), end - start, end - start)
                : null;
        }
    }
}

/// <summary>Takes bytes and where they belong: their offset in an image's file.</summary>
internal delegate void BytesAtOffset(ReadOnlySpan<byte> bytes, long offset);

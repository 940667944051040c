using System.Collections.Immutable;

namespace KaslrMt.Kernels;

/// <summary>
/// The headers of a vmlinux: ELF64, little-endian, x86-64 (System V gABI, chapters 4 and 5). Every field was checked against
/// the file when it was read, so offsets and sizes may be used without further checks on that same file.
/// </summary>
public sealed class ElfImage
{
    /// <summary>Where the kernel's text mapping begins (<c>__START_KERNEL_map</c>): a link address minus this is the physical
    /// address the kernel was linked for. It holds for the zero-based per-CPU segment too, whose <c>p_vaddr</c> is 0.</summary>
    public const ulong StartKernelMap = 0xffffffff80000000;

    /// <summary>The kernel's text mapping in bytes (<c>KERNEL_IMAGE_SIZE</c> with KASLR): no image may span more.</summary>
    public const ulong MaximumSpan = ByteSize.GiB;

    internal ElfImage(ulong entry, ImmutableArray<ElfSegment> segments, ImmutableArray<ElfSection> sections, int fileEnd)
    {
        Entry = new PhysicalAddress(entry);
        Segments = segments;
        Sections = sections;
        FileEnd = fileEnd;
        Loads = [.. segments.Where(IsLoaded).OrderBy(segment => segment.PhysicalAddress)];
    }

    /// <summary>The entry point (<c>startup_64</c>), a physical address in every kernel that Linux links.</summary>
    public PhysicalAddress Entry { get; }

    /// <summary>All program headers, in the file's order.</summary>
    public ImmutableArray<ElfSegment> Segments { get; }

    /// <summary>The loadable segments that occupy memory, by physical address; at least one, none overlaps another.</summary>
    public ImmutableArray<ElfSegment> Loads { get; }

    /// <summary>All section headers, in the file's order; empty when the image was stripped of them.</summary>
    public ImmutableArray<ElfSection> Sections { get; }

    /// <summary>The first offset behind everything the headers name. A relocation table lies from here to the payload's end.</summary>
    public int FileEnd { get; }

    /// <summary>The lowest physical address of a loadable segment: the image's start (the entry may lie further up).</summary>
    public PhysicalAddress PhysicalStart => Loads[0].PhysicalAddress;

    /// <summary>The first physical address behind the last loadable segment's memory.</summary>
    public PhysicalAddress PhysicalEnd => Loads[^1].PhysicalEnd;

    /// <summary>Bytes of memory from <see cref="PhysicalStart"/> to <see cref="PhysicalEnd"/>: at most 1 GiB.</summary>
    public int Span => (int)(PhysicalEnd - PhysicalStart);

    /// <summary>Reads and checks the headers.</summary>
    /// <param name="file">The file; bytes behind the ELF (a relocation table) are left alone.</param>
    /// <exception cref="KaslrMtException">One of <see cref="KernelErrors"/>.</exception>
    public static ElfImage Read(ReadOnlySpan<byte> file) => ElfReader.Read(file);

    /// <summary>The section of that name, or null: a stripped image has none, and a kernel may lack it.</summary>
    public ElfSection? FindSection(string name)
    {
        foreach (ElfSection section in Sections)
        {
            if (section.Name == name)
            {
                return section;
            }
        }

        return null;
    }

    /// <summary>Where in the file the bytes of a link address lie.</summary>
    /// <param name="linkAddress">An address as the kernel was linked, per-CPU data by where it is loaded.</param>
    /// <param name="length">How many bytes must lie there, in one segment.</param>
    /// <param name="fileOffset">The offset of the first of them.</param>
    /// <returns>False when one of the bytes is in no segment, or zero memory without bytes in the file.</returns>
    public bool TryGetFileOffset(VirtualAddress linkAddress, int length, out int fileOffset) =>
        TryGetFileOffset(new PhysicalAddress(unchecked(linkAddress.Value - StartKernelMap)), length, out fileOffset);

    /// <summary>Where in the file the bytes of a physical address of the unmoved kernel lie.</summary>
    /// <param name="address">A physical address as the segments name them.</param>
    /// <param name="length">How many bytes must lie there, in one segment.</param>
    /// <param name="fileOffset">The offset of the first of them.</param>
    /// <returns>False when one of the bytes is in no segment, or zero memory without bytes in the file.</returns>
    public bool TryGetFileOffset(PhysicalAddress address, int length, out int fileOffset)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        foreach (ElfSegment load in Loads)
        {
            ulong inside = address - load.PhysicalAddress;
            if (inside < load.MemorySize)
            {
                bool held = inside + (ulong)length <= (ulong)load.FileSize;
                fileOffset = held ? load.FileOffset + (int)inside : 0;
                return held;
            }
        }

        fileOffset = 0;
        return false;
    }

    private static bool IsLoaded(ElfSegment segment) => segment.Type == ElfSegmentType.Load && segment.MemorySize > 0;
}

namespace KaslrMt.Kernels;

/// <summary>One program header of a vmlinux, checked: its bytes lie in the file and its end does not wrap.</summary>
/// <param name="Type">What the segment is for.</param>
/// <param name="Flags">How memory may be used.</param>
/// <param name="FileOffset">Where its bytes begin in the file.</param>
/// <param name="VirtualAddress">Its link address; 0 for the per-CPU segment of kernels before 6.15.</param>
/// <param name="PhysicalAddress">Where it is loaded when nothing is moved.</param>
/// <param name="FileSize">Bytes in the file, at most <paramref name="MemorySize"/>.</param>
/// <param name="MemorySize">Bytes in memory; those past <paramref name="FileSize"/> are zero.</param>
/// <param name="Alignment">0 or a power of two.</param>
public readonly record struct ElfSegment(
    ElfSegmentType Type,
    ElfSegmentFlags Flags,
    int FileOffset,
    VirtualAddress VirtualAddress,
    PhysicalAddress PhysicalAddress,
    int FileSize,
    ulong MemorySize,
    ulong Alignment)
{
    /// <summary>The first physical address behind the segment's memory.</summary>
    public PhysicalAddress PhysicalEnd => PhysicalAddress + MemorySize;

    /// <summary>The first file offset behind the segment's bytes.</summary>
    public int FileEnd => FileOffset + FileSize;
}

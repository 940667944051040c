namespace KaslrMt.Kernels;

/// <summary>What can be wrong with a vmlinux ELF file: numbers 2200 to 2299.</summary>
public static class ElfErrors
{
    /// <summary>The file ends inside the ELF header, or does not begin with the ELF magic.</summary>
    public static readonly ErrorCode NotElf = new(2200, ErrorCategory.Image);

    /// <summary>Class, byte order, version, machine or type is not that of an x86-64 kernel.</summary>
    public static readonly ErrorCode NotX86Kernel = new(2201, ErrorCategory.Image);

    /// <summary>A header or table entry has a size other than ELF64's.</summary>
    public static readonly ErrorCode HeaderSize = new(2202, ErrorCategory.Image);

    /// <summary>The program header table is empty, too long or outside the file.</summary>
    public static readonly ErrorCode ProgramHeaders = new(2203, ErrorCategory.Image);

    /// <summary>A segment's bytes lie outside the file.</summary>
    public static readonly ErrorCode SegmentOutsideFile = new(2204, ErrorCategory.Image);

    /// <summary>A segment holds more bytes in the file than in memory.</summary>
    public static readonly ErrorCode SegmentFileSize = new(2205, ErrorCategory.Image);

    /// <summary>A segment's end wraps past the end of the address space.</summary>
    public static readonly ErrorCode SegmentAddress = new(2206, ErrorCategory.Image);

    /// <summary>A segment's alignment is not a power of two.</summary>
    public static readonly ErrorCode SegmentAlignment = new(2207, ErrorCategory.Image);

    /// <summary>Two loadable segments overlap in physical memory or in the file.</summary>
    public static readonly ErrorCode SegmentOverlap = new(2208, ErrorCategory.Image);

    /// <summary>The file has no loadable segment.</summary>
    public static readonly ErrorCode NoLoadSegment = new(2209, ErrorCategory.Image);

    /// <summary>The loadable segments span more than 1 GiB of physical memory, or reach past the kernel's own mapping.</summary>
    public static readonly ErrorCode ImageTooLarge = new(2210, ErrorCategory.Image);

    /// <summary>The entry point lies in no loadable segment.</summary>
    public static readonly ErrorCode EntryOutside = new(2211, ErrorCategory.Image);

    /// <summary>The section header table is too long or outside the file.</summary>
    public static readonly ErrorCode SectionHeaders = new(2212, ErrorCategory.Image);

    /// <summary>A section's bytes lie outside the file.</summary>
    public static readonly ErrorCode SectionOutsideFile = new(2213, ErrorCategory.Image);

    /// <summary>A section's name is missing: no string table, an offset outside it, no end, or no printable text.</summary>
    public static readonly ErrorCode SectionName = new(2214, ErrorCategory.Image);

    /// <summary>A loadable segment does not lie where the kernel's mapping (0xffffffff80000000) puts it.</summary>
    public static readonly ErrorCode SegmentLinkAddress = new(2215, ErrorCategory.Image);
}

using System.Collections.Immutable;

namespace KaslrMt.Kernels;

/// <summary>The numbered errors of this project: 20xx kernel files, 21xx payloads, 22xx ELF, 23xx relocations, 24xx symbols, 25xx boot patches, 27xx types, 28xx prepared kernels.</summary>
public static class KernelErrors
{
    /// <summary>The file is neither a bzImage nor an ELF vmlinux.</summary>
    public static readonly ErrorCode NotAKernel = new(2001, ErrorCategory.Image);

    /// <summary>The file ends before its setup header, protected-mode part or payload does.</summary>
    public static readonly ErrorCode Truncated = new(2002, ErrorCategory.Image);

    /// <summary>The boot protocol is older than 2.08, which introduced the payload fields.</summary>
    public static readonly ErrorCode ProtocolTooOld = new(2003, ErrorCategory.Image);

    /// <summary>A setup header field holds a value that no kernel build writes.</summary>
    public static readonly ErrorCode BadField = new(2004, ErrorCategory.Image);

    /// <summary>The kernel was built without CONFIG_RELOCATABLE, so it runs at its link address only.</summary>
    public static readonly ErrorCode NotRelocatable = new(2005, ErrorCategory.Image);

    /// <summary>The kernel is not a 64-bit x86 kernel.</summary>
    public static readonly ErrorCode Not64Bit = new(2006, ErrorCategory.Image);

    /// <summary>The file is larger than any kernel (limit 1 GiB).</summary>
    public static readonly ErrorCode TooLarge = new(2007, ErrorCategory.Image);

    /// <summary>The kernel file cannot be read.</summary>
    public static readonly ErrorCode Unreadable = new(2008, ErrorCategory.Permission);

    /// <summary>The payload begins with no magic that Linux knows.</summary>
    public static readonly ErrorCode PayloadUnknownFormat = new(2101, ErrorCategory.Image);

    /// <summary>The payload ends before its compressed stream does.</summary>
    public static readonly ErrorCode PayloadTruncated = new(2102, ErrorCategory.Image);

    /// <summary>The compressed stream breaks its format's rules.</summary>
    public static readonly ErrorCode PayloadCorrupt = new(2103, ErrorCategory.Image);

    /// <summary>A checksum inside the compressed stream does not match.</summary>
    public static readonly ErrorCode PayloadChecksum = new(2104, ErrorCategory.Image);

    /// <summary>The stream unpacks to more bytes than the payload declares.</summary>
    public static readonly ErrorCode PayloadLongerThanDeclared = new(2105, ErrorCategory.Image);

    /// <summary>The stream unpacks to fewer bytes than the payload declares.</summary>
    public static readonly ErrorCode PayloadShorterThanDeclared = new(2106, ErrorCategory.Image);

    /// <summary>The declared unpacked size is zero, above the limit, or out of all proportion to the payload.</summary>
    public static readonly ErrorCode PayloadDeclaredSize = new(2107, ErrorCategory.Image);

    /// <summary>The stream uses a feature of its format that kernels do not use and this program does not unpack.</summary>
    public static readonly ErrorCode PayloadUnsupported = new(2108, ErrorCategory.Image);

    /// <summary>A codec's shared library is not installed, or is too old or broken.</summary>
    public static readonly ErrorCode CodecLibraryMissing = new(2120, ErrorCategory.Host);

    /// <summary>A codec could not get the memory it needs.</summary>
    public static readonly ErrorCode CodecOutOfMemory = new(2121, ErrorCategory.Host);

    /// <summary>The file ends inside the ELF header, or does not begin with the ELF magic.</summary>
    public static readonly ErrorCode NotElf = new(2200, ErrorCategory.Image);

    /// <summary>Class, byte order, version, machine or type is not that of an x86-64 kernel.</summary>
    public static readonly ErrorCode NotX86Kernel = new(2201, ErrorCategory.Image);

    /// <summary>A header or table entry has a size other than ELF64's.</summary>
    public static readonly ErrorCode ElfHeaderSize = new(2202, ErrorCategory.Image);

    /// <summary>The program header table is empty, too long or outside the file.</summary>
    public static readonly ErrorCode ElfProgramHeaders = new(2203, ErrorCategory.Image);

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
    public static readonly ErrorCode ElfEntryOutside = new(2211, ErrorCategory.Image);

    /// <summary>The section header table is too long or outside the file.</summary>
    public static readonly ErrorCode SectionHeaders = new(2212, ErrorCategory.Image);

    /// <summary>A section's bytes lie outside the file.</summary>
    public static readonly ErrorCode SectionOutsideFile = new(2213, ErrorCategory.Image);

    /// <summary>A section's name is missing: no string table, an offset outside it, no end, or no printable text.</summary>
    public static readonly ErrorCode SectionName = new(2214, ErrorCategory.Image);

    /// <summary>A loadable segment does not lie where the kernel's mapping (0xffffffff80000000) puts it.</summary>
    public static readonly ErrorCode SegmentLinkAddress = new(2215, ErrorCategory.Image);

    /// <summary>Nothing lies behind the ELF: the kernel was built without CONFIG_RANDOMIZE_BASE.</summary>
    public static readonly ErrorCode RelocationTableMissing = new(2300, ErrorCategory.Image);

    /// <summary>The bytes behind the ELF are not a whole number of 4-byte entries.</summary>
    public static readonly ErrorCode RelocationTableSize = new(2301, ErrorCategory.Image);

    /// <summary>A list does not end: no zero between it and the end of the ELF.</summary>
    public static readonly ErrorCode RelocationTerminator = new(2302, ErrorCategory.Image);

    /// <summary>The table does not begin where the ELF ends, or holds more or emptier lists than a kernel's.</summary>
    public static readonly ErrorCode RelocationTableShape = new(2303, ErrorCategory.Image);

    /// <summary>An entry names bytes outside the image.</summary>
    public static readonly ErrorCode RelocationOutside = new(2304, ErrorCategory.Image);

    /// <summary>There are more entries than any kernel has.</summary>
    public static readonly ErrorCode TooManyRelocations = new(2305, ErrorCategory.Image);

    /// <summary>The ELF has no <c>.rela</c> sections: it was not linked with <c>--emit-relocs</c>, or they were stripped.</summary>
    public static readonly ErrorCode NoRelaSections = new(2306, ErrorCategory.Image);

    /// <summary>A relocation section, its symbol table or that one's string table is not what it must be.</summary>
    public static readonly ErrorCode RelaSection = new(2307, ErrorCategory.Image);

    /// <summary>A relocation names a symbol, or a symbol a name or section, that does not exist.</summary>
    public static readonly ErrorCode RelaSymbol = new(2308, ErrorCategory.Image);

    /// <summary>A relocation's type is none that a kernel may have.</summary>
    public static readonly ErrorCode RelaType = new(2309, ErrorCategory.Image);

    /// <summary>A relocation to an absolute symbol that is not known to move, or not to move, with the kernel.</summary>
    public static readonly ErrorCode RelaAbsolute = new(2310, ErrorCategory.Image);

    /// <summary>A relocation whose bytes do not hold what its type and symbol say.</summary>
    public static readonly ErrorCode RelaBytes = new(2311, ErrorCategory.Image);

    /// <summary>The memory holds no kallsyms token table with its index.</summary>
    public static readonly ErrorCode KallsymsNotFound = new(2401, ErrorCategory.Image);

    /// <summary>A token table was found, but another table that belongs to it is missing, cut off or contradicts it.</summary>
    public static readonly ErrorCode KallsymsInconsistent = new(2402, ErrorCategory.Image);

    /// <summary>One or more symbols asked for are not in the tables.</summary>
    public static readonly ErrorCode KallsymsSymbolMissing = new(2403, ErrorCategory.Image);

    /// <summary>A symbol that the patch stands on is missing.</summary>
    public static readonly ErrorCode MissingSymbol = new(2501, ErrorCategory.Relocation);

    /// <summary>The call that must be redirected is not there, or there more than once.</summary>
    public static readonly ErrorCode CallSite = new(2502, ErrorCategory.Relocation);

    /// <summary>A variable does not hold the value every 4-level kernel is linked with, or has no bytes in the image.</summary>
    public static readonly ErrorCode PatchVariable = new(2503, ErrorCategory.Relocation);

    /// <summary>The arithmetic behind the module offset is not one of those known.</summary>
    public static readonly ErrorCode ModuleOffsetDraw = new(2504, ErrorCategory.Relocation);

    /// <summary>The kernel was built with something that fixes its regions in place (KASAN).</summary>
    public static readonly ErrorCode FixedRegions = new(2505, ErrorCategory.Relocation);

    /// <summary>The image's segments are not those of a kernel that can be moved (link base, alignment, entry).</summary>
    public static readonly ErrorCode PatchGeometry = new(2506, ErrorCategory.Relocation);

    /// <summary>The kernel loads modules in a way that is not known: it cannot be made to place them by name.</summary>
    public static readonly ErrorCode ModuleNames = new(2507, ErrorCategory.Relocation);

    /// <summary>The bytes are no type information that this program reads: magic, version or header are wrong.</summary>
    public static readonly ErrorCode NotTypes = new(2701, ErrorCategory.Image);

    /// <summary>The type information is cut off, or contradicts itself.</summary>
    public static readonly ErrorCode TypesInconsistent = new(2702, ErrorCategory.Image);

    /// <summary>A structure, member or constant that was asked for is not in the type information.</summary>
    public static readonly ErrorCode TypeMissing = new(2703, ErrorCategory.Image);

    /// <summary>A prepared kernel breaks a rule of its format, or names bytes outside the kernel's segments.</summary>
    public static readonly ErrorCode Prepared = new(2801, ErrorCategory.Image);

    /// <summary>The worker that understands kernel files could not give up its rights, so it read no file.</summary>
    public static readonly ErrorCode Confinement = new(2802, ErrorCategory.Host);

    /// <summary>All of the above: what a worker may report.</summary>
    public static readonly ImmutableArray<ErrorCode> All =
    [
        NotAKernel, Truncated, ProtocolTooOld, BadField, NotRelocatable, Not64Bit, TooLarge, Unreadable, PayloadUnknownFormat, PayloadTruncated,
        PayloadCorrupt, PayloadChecksum, PayloadLongerThanDeclared, PayloadShorterThanDeclared, PayloadDeclaredSize, PayloadUnsupported,
        CodecLibraryMissing, CodecOutOfMemory, NotElf, NotX86Kernel, ElfHeaderSize, ElfProgramHeaders, SegmentOutsideFile, SegmentFileSize,
        SegmentAddress, SegmentAlignment, SegmentOverlap, NoLoadSegment, ImageTooLarge, ElfEntryOutside, SectionHeaders, SectionOutsideFile,
        SectionName, SegmentLinkAddress, RelocationTableMissing, RelocationTableSize, RelocationTerminator, RelocationTableShape, RelocationOutside,
        TooManyRelocations, NoRelaSections, RelaSection, RelaSymbol, RelaType, RelaAbsolute, RelaBytes, KallsymsNotFound, KallsymsInconsistent,
        KallsymsSymbolMissing, MissingSymbol, CallSite, PatchVariable, ModuleOffsetDraw, FixedRegions, PatchGeometry, ModuleNames, NotTypes,
        TypesInconsistent, TypeMissing, Prepared, Confinement,
    ];
}

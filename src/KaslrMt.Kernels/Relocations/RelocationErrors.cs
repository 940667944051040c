namespace KaslrMt.Kernels;

/// <summary>What can be wrong with a kernel's relocations: numbers 2300 to 2399.</summary>
public static class RelocationErrors
{
    /// <summary>Nothing lies behind the ELF: the kernel was built without CONFIG_RANDOMIZE_BASE.</summary>
    public static readonly ErrorCode NoTable = new(2300, ErrorCategory.Image);

    /// <summary>The bytes behind the ELF are not a whole number of 4-byte entries.</summary>
    public static readonly ErrorCode TableSize = new(2301, ErrorCategory.Image);

    /// <summary>A list does not end: no zero between it and the end of the ELF.</summary>
    public static readonly ErrorCode NoTerminator = new(2302, ErrorCategory.Image);

    /// <summary>The table does not begin where the ELF ends, or holds more or emptier lists than a kernel's.</summary>
    public static readonly ErrorCode TableShape = new(2303, ErrorCategory.Image);

    /// <summary>An entry names bytes outside the image.</summary>
    public static readonly ErrorCode EntryOutside = new(2304, ErrorCategory.Image);

    /// <summary>There are more entries than any kernel has.</summary>
    public static readonly ErrorCode TooManyEntries = new(2305, ErrorCategory.Image);

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
}

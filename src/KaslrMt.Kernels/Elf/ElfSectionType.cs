namespace KaslrMt.Kernels;

/// <summary>The <c>sh_type</c> of a section header (System V gABI, chapter 4); other values keep their number.</summary>
public enum ElfSectionType : uint
{
    /// <summary>Unused.</summary>
    Null = 0,

    /// <summary>The program's own bytes.</summary>
    ProgramBits = 1,

    /// <summary>A symbol table.</summary>
    Symbols = 2,

    /// <summary>A string table.</summary>
    Strings = 3,

    /// <summary>Relocations with addends.</summary>
    RelocationsWithAddend = 4,

    /// <summary>Notes.</summary>
    Note = 7,

    /// <summary>Zero memory without bytes in the file.</summary>
    NoBits = 8,
}

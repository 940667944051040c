namespace KaslrMt.Kernels;

/// <summary>The relocation types that a kernel's <c>.rela</c> sections hold (System V psABI for x86-64, table 4.9).</summary>
internal enum RelaType : uint
{
    /// <summary>Nothing to do.</summary>
    None = 0,

    /// <summary>8 bytes, the symbol's address.</summary>
    Absolute64 = 1,

    /// <summary>4 bytes, the distance to the symbol.</summary>
    Relative32 = 2,

    /// <summary>4 bytes, the distance to a function; a kernel has no procedure linkage table, so it is the same.</summary>
    Procedure32 = 4,

    /// <summary>4 bytes, the distance to the slot of the global offset table that holds the symbol's address.</summary>
    OffsetTable = 9,

    /// <summary>4 bytes, the symbol's address, zero-extended.</summary>
    Absolute32 = 10,

    /// <summary>4 bytes, the symbol's address, sign-extended.</summary>
    AbsoluteSigned32 = 11,

    /// <summary>8 bytes, the distance to the symbol.</summary>
    Relative64 = 24,

    /// <summary>As <see cref="OffsetTable"/>, in an instruction that the linker may turn into one without the table.</summary>
    OffsetTableRelaxed = 41,

    /// <summary>As <see cref="OffsetTableRelaxed"/>, in an instruction with a REX prefix.</summary>
    OffsetTableRelaxedRex = 42,
}

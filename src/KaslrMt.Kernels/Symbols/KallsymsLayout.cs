namespace KaslrMt.Kernels;

/// <summary>Which kallsyms layout a kernel has and where its tables lie. It holds positions only, no addresses.</summary>
/// <param name="Order">The order of the tables.</param>
/// <param name="Addressing">How offsets become addresses.</param>
/// <param name="SymbolCount">num_syms.</param>
/// <param name="Names">Position of <c>kallsyms_names</c>: bytes from the start of the memory that was searched, as all positions here.</param>
/// <param name="Markers">Position of <c>kallsyms_markers</c>: a u32 for each 256 symbols, directly behind the names and their padding.</param>
/// <param name="TokenTable">Position of <c>kallsyms_token_table</c>: 256 strings.</param>
/// <param name="TokenIndex">Position of <c>kallsyms_token_index</c>: 256 u16.</param>
/// <param name="Offsets">Position of <c>kallsyms_offsets</c>: a 32-bit value for each symbol.</param>
/// <param name="RelativeBase">Position of <c>kallsyms_relative_base</c>, a u64, or null where there is none.</param>
/// <param name="SequencesOfNames">
/// Position of <c>kallsyms_seqs_of_names</c> (3 bytes for each symbol, in the order of names), or null where there is none: up to 6.1,
/// but Debian's 6.1 has it. It is not read: one pass over the names finds many symbols at once and trusts nothing.
/// </param>
public readonly record struct KallsymsLayout(
    KallsymsOrder Order,
    KallsymsAddressing Addressing,
    int SymbolCount,
    int Names,
    int Markers,
    int TokenTable,
    int TokenIndex,
    int Offsets,
    int? RelativeBase,
    int? SequencesOfNames)
{
    /// <summary>The layout in words, as <c>kaslrmt kernel</c> prints it.</summary>
    public string Describe() => (Order, Addressing, SequencesOfNames) switch
    {
        (KallsymsOrder.OffsetsFirst, _, null) => "offsets first (up to 6.1)",
        (KallsymsOrder.OffsetsFirst, _, _) => "offsets first, with names in order (6.2, 6.3, Debian's 6.1)",
        (_, KallsymsAddressing.AbsolutePerCpu, _) => "names first, per-CPU symbols absolute (6.4 to 6.14)",
        (_, KallsymsAddressing.BaseRelative, _) => "names first, all symbols relative to one base (6.15 to 6.19)",
        _ => "names first, offsets relative to their own place (from 7.0)",
    };
}

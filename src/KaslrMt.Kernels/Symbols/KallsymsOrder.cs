namespace KaslrMt.Kernels;

/// <summary>In which order <c>scripts/kallsyms.c</c> wrote the tables.</summary>
public enum KallsymsOrder
{
    /// <summary>offsets, relative_base, num_syms, names, markers, [seqs_of_names,] token_table, token_index: up to 6.3.</summary>
    OffsetsFirst,

    /// <summary>num_syms, names, markers, token_table, token_index, offsets, [relative_base,] seqs_of_names: from 6.4.</summary>
    NamesFirst,
}

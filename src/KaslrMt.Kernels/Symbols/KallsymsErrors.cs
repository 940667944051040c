namespace KaslrMt.Kernels;

/// <summary>The numbered errors of kallsyms tables, 24xx.</summary>
public static class KallsymsErrors
{
    /// <summary>The memory holds no kallsyms token table with its index.</summary>
    public static readonly ErrorCode NotFound = new(2401, ErrorCategory.Image);

    /// <summary>A token table was found, but another table that belongs to it is missing, cut off or contradicts it.</summary>
    public static readonly ErrorCode Inconsistent = new(2402, ErrorCategory.Image);

    /// <summary>One or more symbols asked for are not in the tables.</summary>
    public static readonly ErrorCode SymbolMissing = new(2403, ErrorCategory.Image);
}

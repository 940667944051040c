namespace KaslrMt.Kernels;

/// <summary>Where in the kernel an address lies, as a stack trace writes it: <c>name+offset/size</c>.</summary>
/// <param name="Symbol">The symbol at or below the address; of several with one address the first, as the kernel prints it.</param>
/// <param name="Offset">Bytes from the symbol to the address.</param>
/// <param name="Size">Bytes to the next symbol with another address; null for the last symbol.</param>
/// <param name="Aliases">Further symbols with the symbol's address, at most <see cref="Kallsyms.MaxAliases"/>.</param>
public sealed record KallsymsLocation(KallsymsSymbol Symbol, ulong Offset, ulong? Size, IReadOnlyList<KallsymsSymbol> Aliases)
{
    /// <summary><c>name+0x1c/0x80</c>, as in an oops.</summary>
    public override string ToString() => Size is ulong size ? $"{Symbol.Name}+0x{Offset:x}/0x{size:x}" : $"{Symbol.Name}+0x{Offset:x}";
}

namespace KaslrMt.Guests;

/// <summary>Where a module's symbol table lies in the guest's kernel memory (<c>struct mod_kallsyms</c>). Default for none.</summary>
/// <param name="Table">The first <c>Elf64_Sym</c>.</param>
/// <param name="Count">How many there are, as the guest says.</param>
/// <param name="Names">The names.</param>
public readonly record struct ModuleSymbolTable(VirtualAddress Table, uint Count, VirtualAddress Names)
{
    /// <summary>Shows no address.</summary>
    public override string ToString() => $"{Count} symbols";
}

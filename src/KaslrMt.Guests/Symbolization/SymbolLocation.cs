using System.Globalization;

namespace KaslrMt.Guests;

/// <summary>Where an address lies, as a stack trace writes it.</summary>
/// <param name="Symbol">The symbol at or below it; the name of the module's section where no symbol is known.</param>
/// <param name="Offset">Bytes from the symbol.</param>
/// <param name="Size">Bytes to the next symbol; null where it is not known.</param>
/// <param name="Module">The module; null for the kernel itself.</param>
public readonly record struct SymbolLocation(string Symbol, ulong Offset, ulong? Size, string? Module)
{
    /// <summary><c>name+0x1c/0x80 [module]</c>.</summary>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture, $"{Symbol}+0x{Offset:x}{(Size is ulong size ? $"/0x{size:x}" : "")}{(Module is null ? "" : $" [{Module}]")}");
}

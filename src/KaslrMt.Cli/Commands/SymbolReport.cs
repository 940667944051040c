using System.Globalization;
using KaslrMt.Guests;

namespace KaslrMt.Cli.Commands;

/// <summary>What <c>kaslrmt symbolize</c> says of one address; without a symbol, only the address.</summary>
internal sealed record SymbolReport(string Address, string? Symbol, string? Offset, string? Size, string? Module)
{
    /// <summary>What a place becomes.</summary>
    public static SymbolReport Of(VirtualAddress address, SymbolLocation? place) => new(
        address.ToString(), place?.Symbol, Hex(place?.Offset), Hex(place?.Size), place?.Module);

    private static string? Hex(ulong? value) => value is ulong number ? string.Create(CultureInfo.InvariantCulture, $"0x{number:x}") : null;
}

namespace KaslrMt.Guests;

/// <summary>Where in a module an address lies.</summary>
/// <param name="Module">The module.</param>
/// <param name="Section">The group of sections.</param>
/// <param name="SectionOffset">Bytes from the group's start.</param>
/// <param name="Symbol">The nearest symbol at or below the address in the same group; null where the module's symbols do not say.</param>
/// <param name="Offset">Bytes from the symbol; 0 without one.</param>
public sealed record ModuleLocation(GuestModule Module, ModuleSection Section, ulong SectionOffset, string? Symbol, ulong Offset)
{
    /// <summary><c>name+0x1c [module]</c>, as in an oops.</summary>
    public override string ToString() => Symbol is null ? $"[{Module.Name}] {Section}+0x{SectionOffset:x}" : $"{Symbol}+0x{Offset:x} [{Module.Name}]";
}

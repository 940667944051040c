namespace KaslrMt.Kernels;

/// <summary>What a kernel is told about the machine that it boots on.</summary>
/// <param name="CommandLine">The physical address of the command line, which ends with a zero.</param>
/// <param name="Initrd">Where the initrd lies, whole below 4 GiB; null for none.</param>
/// <param name="Rsdp">The physical address of ACPI's root pointer; 0 for none.</param>
/// <param name="MemoryMap">Firmware's memory map with e820's types (1 is RAM); at most <see cref="MostMapEntries"/> entries.</param>
public sealed record BootParameters(uint CommandLine, PhysicalRange? Initrd, ulong Rsdp, IReadOnlyList<(PhysicalRange Range, uint Type)> MemoryMap)
{
    /// <summary>The most entries of the memory map: E820_MAX_ENTRIES_ZEROPAGE.</summary>
    public const int MostMapEntries = 128;
}

namespace KaslrMt.Guests;

/// <summary>One leaf of a page table.</summary>
/// <param name="Address">The first virtual address it maps.</param>
/// <param name="Target">The guest-physical address it maps to.</param>
/// <param name="Size">4 KiB, 2 MiB or 1 GiB.</param>
/// <param name="Flags">The entry's low 12 bits and NX (bit 63), as the processor defines them.</param>
public readonly record struct Mapping(VirtualAddress Address, PhysicalAddress Target, ulong Size, ulong Flags);

namespace KaslrMt.Guests;

/// <summary>One leaf of a page table.</summary>
/// <param name="Address">The first virtual address it maps.</param>
/// <param name="Target">The guest-physical address it maps to.</param>
/// <param name="Size">4 KiB, 2 MiB or 1 GiB.</param>
/// <param name="Flags">
/// The entry's low 12 bits and NX (bit 63), as the processor defines them; writing, users' access and execution only where the levels above allow them too.
/// </param>
public readonly record struct Mapping(VirtualAddress Address, PhysicalAddress Target, ulong Size, ulong Flags)
{
    /// <summary>Whether it may be written (W).</summary>
    public bool IsWritable => (Flags & (1 << 1)) != 0;

    /// <summary>Whether user mode may reach it (U).</summary>
    public bool IsUser => (Flags & (1 << 2)) != 0;

    /// <summary>Whether it stays in the processor's cache of translations when the address space changes (G).</summary>
    public bool IsGlobal => (Flags & (1 << 8)) != 0;

    /// <summary>Whether it may be executed (not NX).</summary>
    public bool IsExecutable => Flags >> 63 == 0;
}

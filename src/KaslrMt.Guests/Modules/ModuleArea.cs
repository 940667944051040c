namespace KaslrMt.Guests;

/// <summary>Where a group of a module's sections lies.</summary>
/// <param name="Section">Which group.</param>
/// <param name="Address">Its first byte.</param>
/// <param name="Size">Its bytes, not 0.</param>
public readonly record struct ModuleArea(ModuleSection Section, VirtualAddress Address, ulong Size)
{
    /// <summary>Whether an address lies in it.</summary>
    public bool Contains(VirtualAddress address) => address - Address < Size;

    /// <summary>The group and its size. The address is a secret of a running VM.</summary>
    public override string ToString() => $"{Section}, {Size} bytes";
}

using KaslrMt.Kernels;

namespace KaslrMt.Guests;

/// <summary>Where a kernel was found.</summary>
/// <param name="VirtualBase">Of its text.</param>
/// <param name="PhysicalBase">Of its text.</param>
/// <param name="Tables">Its page tables.</param>
/// <param name="Symbols">Its symbols; null when it was found without them.</param>
internal sealed record FoundKernel(VirtualAddress VirtualBase, PhysicalAddress PhysicalBase, PageTableWalk Tables, Kallsyms? Symbols)
{
    /// <summary>Shows nothing: the bases are secrets of a running VM.</summary>
    public override string ToString() => nameof(FoundKernel);
}

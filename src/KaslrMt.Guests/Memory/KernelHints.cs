using KaslrMt.Kernels;

namespace KaslrMt.Guests;

/// <summary>What is known of a guest before its memory is looked at. A hint makes finding its kernel faster; a wrong one costs time only.</summary>
/// <param name="TopTable">A CR3 of one of its processors, flags included; or where the kernel's own top page table lies.</param>
/// <param name="FiveLevels">Whether its processors use five levels of page tables (CR4.LA57); null when not known.</param>
/// <param name="Image">The kernel that it is said to run: finding it takes no search then, and another kernel is an error.</param>
public readonly record struct KernelHints(PhysicalAddress? TopTable = null, bool? FiveLevels = null, KernelIdentity? Image = null)
{
    /// <summary>Shows nothing: where a running VM's tables lie is its secret.</summary>
    public override string ToString() => nameof(KernelHints);
}

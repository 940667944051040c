using System.Collections.Immutable;

namespace KaslrMt.Guests;

/// <summary>One stretch of the kernel's half of the address space, and what is mapped in it. A secret of that VM.</summary>
/// <param name="Name">What it is for: <c>direct map</c>, <c>vmalloc</c>, …; <c>hole</c> for what nothing may use.</param>
/// <param name="Start">Its first address.</param>
/// <param name="Last">Its last address, so that a region may end at 2^64 − 1.</param>
/// <param name="Pages">What is mapped, by access; empty for nothing.</param>
public sealed record MapRegion(string Name, VirtualAddress Start, VirtualAddress Last, ImmutableArray<MappedPages> Pages)
{
    /// <summary>What nothing may use.</summary>
    public const string Hole = "hole";

    /// <summary>Its size in bytes.</summary>
    public ulong Size => Last - Start + 1;

    /// <summary>Bytes of it that are mapped.</summary>
    public ulong Mapped => Pages.Aggregate(0UL, (sum, pages) => sum + pages.Bytes);

    /// <summary>Shows no address.</summary>
    public override string ToString() => Name;
}

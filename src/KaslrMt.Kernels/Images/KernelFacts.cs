using System.Collections.Immutable;
using System.Text.Json.Serialization;
using KaslrMt.Layout;

namespace KaslrMt.Kernels;

/// <summary>What making a bootable image needs to know of a kernel besides its relocated bytes. No secret: it follows from the kernel file alone.</summary>
public sealed record KernelFacts
{
    /// <summary>The release, such as <c>6.1.0-56-cloud-amd64</c>.</summary>
    public required string Release { get; init; }

    /// <summary>The link address of <c>_text</c>.</summary>
    public required ulong LinkBase { get; init; }

    /// <summary>The bytes of memory a base is reserved for.</summary>
    public required ulong ImageSize { get; init; }

    /// <summary>CONFIG_PHYSICAL_ALIGN in bytes.</summary>
    public required uint Alignment { get; init; }

    /// <summary>The physical address the kernel was linked for.</summary>
    public required ulong LinkPhysical { get; init; }

    /// <summary>The physical address of the 64-bit entry, as linked.</summary>
    public required ulong Entry { get; init; }

    /// <summary>The bzImage's setup header from 0x1f1 on; empty for a bare vmlinux.</summary>
    public required byte[] SetupHeader { get; init; }

    /// <summary>The kernel's segments in the order of the image's body.</summary>
    public required ImmutableArray<Segment> Segments { get; init; }

    /// <summary>Where the layout is written into the image's file.</summary>
    public required PatchSites Patch { get; init; }

    /// <summary>What makes it place modules by name; null where it cannot, and <see cref="ModuleNamesProblem"/> says why.</summary>
    public ModuleNamePatch? ModuleNames { get; init; }

    /// <summary>Why there is no <see cref="ModuleNames"/>.</summary>
    public string? ModuleNamesProblem { get; init; }

    /// <summary>Link addresses of the variables by which a running guest's layout is observed, by name.</summary>
    public required ImmutableSortedDictionary<string, ImmutableArray<ulong>> Variables { get; init; }

    /// <summary>The same for the layout.</summary>
    /// <exception cref="KaslrMtException">KMT1201, KMT1202 when the numbers cannot be.</exception>
    [JsonIgnore]
    public KernelGeometry Geometry => new(
        new VirtualAddress(LinkBase), ImageSize, Alignment, new PhysicalAddress(LinkPhysical), new VirtualAddress(0xffffffffc0000000));

    /// <summary>One loadable segment, at its physical address as linked; sizes in bytes.</summary>
    public readonly record struct Segment(ulong PhysicalAddress, int FileSize, ulong MemorySize);

    /// <summary>Offsets in the image's file. Null: the kernel has no such place.</summary>
    public sealed record PatchSites(
        long RandomizeMemoryCall, long Physmap, long Vmalloc, long Vmemmap, long? DirectMapEnd, long? ModuleOffset, int ModuleOffsetShift);
}

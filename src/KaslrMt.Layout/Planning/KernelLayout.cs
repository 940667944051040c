using System.Collections.Immutable;

namespace KaslrMt.Layout;

/// <summary>Six bases, ready to be written into an image. Secret: shown nowhere, cleared on disposal.</summary>
public sealed class KernelLayout : IDisposable
{
    private readonly RegionLayout[] _regions;
    private bool _disposed;

    internal KernelLayout(Policy policy, ReadOnlySpan<RegionLayout> regions, ulong directMapSize, bool isLink)
    {
        Policy = policy;
        DirectMapSize = directMapSize;
        IsLink = isLink;
        _regions = new RegionLayout[LayoutNames.Regions.Length];
        foreach (RegionLayout region in regions)
        {
            _regions[(int)region.Region] = region;
        }
    }

    /// <summary>The policy the layout follows; <c>111111</c> for the link layout, which everybody shares.</summary>
    public Policy Policy { get; }

    /// <summary>Bytes of direct map: <c>physmem_end</c> becomes this minus 1.</summary>
    public ulong DirectMapSize { get; }

    /// <summary>Whether this is the layout that kernels are linked for and <c>nokaslr</c> asks for.</summary>
    public bool IsLink { get; }

    /// <summary>Where the kernel lies in guest-physical memory.</summary>
    public PhysicalAddress KernelPhysical => new(this[Region.KernelPhysical].Base);

    /// <summary>The run-time address of <c>_text</c>.</summary>
    public VirtualAddress KernelVirtual => new(this[Region.KernelVirtual].Base);

    /// <summary><c>page_offset_base</c>.</summary>
    public VirtualAddress Physmap => new(this[Region.Physmap].Base);

    /// <summary><c>vmalloc_base</c>.</summary>
    public VirtualAddress Vmalloc => new(this[Region.Vmalloc].Base);

    /// <summary><c>vmemmap_base</c>.</summary>
    public VirtualAddress Vmemmap => new(this[Region.Vmemmap].Base);

    /// <summary>The first address that modules may use.</summary>
    public VirtualAddress Modules => new(this[Region.Modules].Base);

    /// <summary>All six regions, from kernel-physical to modules.</summary>
    /// <exception cref="ObjectDisposedException">The layout was disposed of.</exception>
    public ImmutableArray<RegionLayout> Regions
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return [.. _regions];
        }
    }

    /// <summary>One region.</summary>
    /// <exception cref="ObjectDisposedException">The layout was disposed of.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The value is no region.</exception>
    public RegionLayout this[Region region]
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)region, (uint)_regions.Length, nameof(region));
            return _regions[(int)region];
        }
    }

    /// <summary>The layout a kernel is linked for, which <c>nokaslr</c> asks for: no randomness, 0 bits everywhere.</summary>
    /// <remarks>Whether the preferred physical address is free is for <see cref="LayoutPlanner.PlanLink"/> to check.</remarks>
    public static KernelLayout Link(KernelGeometry kernel)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        RegionLayout Only(Region region, ulong address, uint alignment, KaslrFlags flags = KaslrFlags.None) => new(
            region,
            Scope.PerTenant,
            address,
            Slot: 0,
            new RegionWindow(region, new KaslrConfig(address, alignment, alignment, flags | KaslrFlags.Link)));

        return new KernelLayout(
            Policy.All[^1],
            [
                Only(Region.KernelPhysical, kernel.PreferredPhysical.Value, kernel.Alignment, KaslrFlags.Physical),
                Only(Region.KernelVirtual, kernel.LinkBase.Value, kernel.Alignment),
                Only(Region.Physmap, AddressSpace.Start.Value, AddressSpace.RegionAlignment),
                Only(Region.Vmalloc, AddressSpace.LinkVmalloc.Value, AddressSpace.RegionAlignment),
                Only(Region.Vmemmap, AddressSpace.LinkVmemmap.Value, AddressSpace.RegionAlignment),
                Only(Region.Modules, kernel.ModulesStart.Value, AddressSpace.PageSize),
            ],
            AddressSpace.LinkDirectMapSize,
            isLink: true);
    }

    /// <summary>Clears the bases.</summary>
    public void Dispose()
    {
        _disposed = true;
        Array.Clear(_regions);
    }

    /// <summary>The type's name; bases are never shown.</summary>
    public override string ToString() => nameof(KernelLayout);
}

using System.Collections.Immutable;

namespace KaslrMt.Layout;

/// <summary>The names that regions and scopes carry in commands, reports, JSON and key derivation. They never change.</summary>
public static class LayoutNames
{
    /// <summary>All six regions, in the order of their policy bits from the right.</summary>
    public static ImmutableArray<Region> Regions { get; } =
        [Region.KernelPhysical, Region.KernelVirtual, Region.Physmap, Region.Vmalloc, Region.Vmemmap, Region.Modules];

    /// <summary>The region's name, for example <c>kernel-virtual</c>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is no region.</exception>
    public static string Name(this Region region) => region switch
    {
        Region.KernelPhysical => "kernel-physical",
        Region.KernelVirtual => "kernel-virtual",
        Region.Physmap => "physmap",
        Region.Vmalloc => "vmalloc",
        Region.Vmemmap => "vmemmap",
        Region.Modules => "modules",
        _ => throw new ArgumentOutOfRangeException(nameof(region), region, "not a region"),
    };

    /// <summary>The scope's name: <c>per-vm</c> or <c>per-tenant</c>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is no scope.</exception>
    public static string Name(this Scope scope) => scope switch
    {
        Scope.PerVm => "per-vm",
        Scope.PerTenant => "per-tenant",
        _ => throw new ArgumentOutOfRangeException(nameof(scope), scope, "not a scope"),
    };

    /// <summary>Reads a region's name, exactly as <see cref="Name(Region)"/> writes it.</summary>
    /// <returns>False when no region has this name.</returns>
    public static bool TryParseRegion(ReadOnlySpan<char> name, out Region region)
    {
        foreach (Region candidate in Regions)
        {
            if (name.SequenceEqual(candidate.Name()))
            {
                region = candidate;
                return true;
            }
        }

        region = default;
        return false;
    }
}

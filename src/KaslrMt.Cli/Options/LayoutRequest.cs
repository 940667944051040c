using KaslrMt.Hypervisors;
using KaslrMt.Layout;

namespace KaslrMt.Cli.Options;

/// <summary>All that a layout is chosen from, checked. Owns the secrets.</summary>
internal sealed class LayoutRequest : IDisposable
{
    /// <summary>The VM's memory.</summary>
    public required ByteSize Memory { get; init; }

    /// <summary>The machine type.</summary>
    public required QemuMachine Machine { get; init; }

    /// <summary>Where RAM lies and what of it is taken.</summary>
    public required GuestRam Ram { get; set; }

    /// <summary>The same for the layout.</summary>
    public GuestMemoryMap MemoryMap => new(Ram.Ranges, Ram.Taken);

    /// <summary>The guest's command line, without the key.</summary>
    public required GuestCommandLine Line { get; init; }

    /// <summary>Which regions are per tenant.</summary>
    public required Policy Policy { get; init; }

    /// <summary>What makes addresses of the key.</summary>
    public required IAddressProducer Producer { get; init; }

    /// <summary>The tenant key, or null where none was given.</summary>
    public required TenantKey? Key { get; init; }

    /// <summary>The seed given, or null for new random ones.</summary>
    public required VmSeed? Seed { get; init; }

    /// <summary>Plans the layout of one boot.</summary>
    /// <param name="kernel">What the kernel says.</param>
    /// <param name="boot">How often the VM booted before: with a seed given, each boot has its own bases still.</param>
    /// <exception cref="KaslrMtException">KMT9003 when the policy needs a key and there is none; KMT12xx when there is no place.</exception>
    public KernelLayout Plan(KernelGeometry kernel, int boot = 0)
    {
        GuestMemoryMap memory = MemoryMap;
        if (Line.DisablesKaslr)
        {
            return LayoutPlanner.PlanLink(kernel, memory);
        }

        if (Key is null && Enum.GetValues<Region>().Any(region => Policy.ScopeOf(region) == Scope.PerTenant))
        {
            throw new KaslrMtException(
                CommandErrors.NoKey,
                $"the policy {Policy} has per-tenant regions, and no tenant key was given",
                "give --tenant-key-file FILE (make one with 'kaslrmt key new FILE')");
        }

        using VmSeed seed = Seed?.ForBoot(boot) ?? VmSeed.Generate();
        return LayoutPlanner.Plan(kernel, memory, Policy, Key, seed, Producer);
    }

    /// <summary>Measures the initrd anew. QEMU reads it at each boot, and where it lies depends on its size then.</summary>
    /// <param name="path">The initrd, or null.</param>
    /// <exception cref="KaslrMtException">KMT9004, or KMT3022 when it does not fit any longer.</exception>
    public void MeasureInitrd(string? path) => Ram = GuestRam.Of(Machine, Memory, path is null ? 0 : LayoutOptions.InitrdSize(path));

    /// <inheritdoc/>
    public void Dispose()
    {
        Line.Dispose();
        Key?.Dispose();
        Seed?.Dispose();
    }
}

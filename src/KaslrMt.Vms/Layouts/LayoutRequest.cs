using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Layout;

namespace KaslrMt.Vms;

/// <summary>All that a layout is chosen from, checked. Owns the secrets.</summary>
internal sealed class LayoutRequest : IDisposable
{
    private readonly GuestRam? _ram;

    /// <summary>The VM's memory.</summary>
    public required ByteSize Memory { get; init; }

    /// <summary>The machine type.</summary>
    public required IMachineModel Machine { get; init; }

    /// <summary>The VM's initrd, or null.</summary>
    public string? Initrd { get; init; }

    /// <summary>Where RAM lies and what of it is taken: by the initrd as it is now, for its file may change between two boots of a VM.</summary>
    /// <exception cref="KaslrMtException">The initrd cannot be used, or does not fit.</exception>
    public GuestRam Ram
    {
        get => _ram ?? Machine.PlaceMemory(Memory, Initrd is null ? 0 : InitrdFile.SizeOf(Initrd));
        init => _ram = value;
    }

    /// <summary>The same for the layout.</summary>
    public GuestMemoryMap MemoryMap => new(Ram.Ranges, Ram.Taken);

    /// <summary>The guest's command line, without the key.</summary>
    public required GuestCommandLine Line { get; init; }

    /// <summary>Which regions are per tenant.</summary>
    public required Policy Policy { get; init; }

    /// <summary>What makes addresses of the key.</summary>
    public required IAddressProducer Producer { get; init; }

    /// <summary>The tenant key, or null where none was given or the tenant table has yet to give it.</summary>
    public required TenantKey? Key { get; set; }

    /// <summary>The key's file, where there is one.</summary>
    public string? KeyFile { get; init; }

    /// <summary>Asks the tenant table for the key once more; gives null where it has another by now.</summary>
    public Func<TenantKey?>? ReloadKey { get; set; }

    /// <summary>What the key gave before, where a VM boots again without it.</summary>
    public DerivedSlots? Earlier { get; init; }

    /// <summary>The seed given, or null for new random ones.</summary>
    public required VmSeed? Seed { get; init; }

    /// <summary>How the kernel places modules.</summary>
    public ModuleAddresses Modules { get; init; }

    /// <summary>Gets what the layouts of a specified VM are chosen from.</summary>
    /// <param name="spec">The VM.</param>
    /// <param name="secrets">Its secrets; the request owns them from here on.</param>
    /// <param name="earlier">What the key gave before, in its place; the request owns it.</param>
    public static LayoutRequest Of(VmSpec spec, VmSecrets secrets, DerivedSlots? earlier = null) => new()
    {
        Memory = new ByteSize(spec.Memory),
        Machine = Hypervisor.Default.Machine(spec.Machine),
        Initrd = spec.Initrd,
        Line = GuestCommandLine.Parse(spec.CommandLine),
        Policy = Policy.Parse(spec.Policy),
        Producer = AddressProducers.Parse(spec.Producer),
        Key = secrets.Key,
        KeyFile = spec.KeyFile,
        Earlier = earlier,
        Modules = spec.ModuleAddresses is null ? ModuleAddresses.ByOrder : ModuleAddressesSetting.Parse(spec.ModuleAddresses),
        Seed = secrets.Seed,
    };

    /// <summary>Plans the layout of one boot on the memory that the machine type is known to give.</summary>
    /// <inheritdoc cref="Plan(KernelGeometry, GuestMemoryMap, int)"/>
    public KernelLayout Plan(KernelGeometry kernel, int boot = 0) => Plan(kernel, MemoryMap, boot);

    /// <summary>Plans the layout of one boot.</summary>
    /// <param name="kernel">What the kernel says.</param>
    /// <param name="memory">Where RAM lies and what of it is taken.</param>
    /// <param name="boot">How often the VM booted before: with a seed given, each boot has its own bases still.</param>
    /// <exception cref="KaslrMtException">KMT9003 when the policy needs a key and there is none; KMT12xx when there is no place.</exception>
    public KernelLayout Plan(KernelGeometry kernel, GuestMemoryMap memory, int boot)
    {
        if (Line.DisablesKaslr)
        {
            return LayoutPlanner.PlanLink(kernel, memory);
        }

        if (Key is null && Earlier is not null)
        {
            return PlanAgain(kernel, memory, Earlier);
        }

        if (Key is null && Enum.GetValues<Region>().Any(region => Policy.ScopeOf(region) == Scope.PerTenant))
        {
            throw new KaslrMtException(
                VmErrors.NoKey,
                $"the policy {Policy} has per-tenant regions, and no tenant key was given",
                "give a tenant key file, or a tenant of the tenant table");
        }

        using VmSeed seed = Seed?.ForBoot(boot) ?? VmSeed.Generate();
        return LayoutPlanner.Plan(kernel, memory, Policy, Key, seed, Producer);
    }

    private KernelLayout PlanAgain(KernelGeometry kernel, GuestMemoryMap memory, DerivedSlots earlier)
    {
        using var seed = VmSeed.Generate();
        try
        {
            return LayoutPlanner.Plan(kernel, memory, Policy, earlier, seed);
        }
        catch (KaslrMtException unknown) when (unknown.Code == LayoutErrors.DrawUnknown && ReloadKey is not null)
        {
            using TenantKey? key = ReloadKey();
            if (key is null || !earlier.AreOf(key, Producer))
            {
                throw;
            }

            return LayoutPlanner.Plan(kernel, memory, Policy, key, seed, Producer);
        }
        catch (KaslrMtException unknown) when (unknown.Code == LayoutErrors.DrawUnknown && KeyFile is not null)
        {
            // A new kernel: the key tells where the tenant's other VMs have theirs, if the file still holds the key that this VM began with.
            using TenantKey key = KeySource.Read(KeyFile);
            return earlier.AreOf(key, Producer)
                ? LayoutPlanner.Plan(kernel, memory, Policy, key, seed, Producer)
                : throw new KaslrMtException(
                    VmErrors.KeyFile, $"tenant key file {KeyFile} holds another key than the VM was started with", "put the VM's own key back, or its earlier kernel");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Earlier?.Dispose();
        Line.Dispose();
        Key?.Dispose();
        Seed?.Dispose();
    }
}

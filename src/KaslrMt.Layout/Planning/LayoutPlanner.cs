namespace KaslrMt.Layout;

/// <summary>Chooses a kernel's six bases, in the seed's four steps: available ranges, random offsets, alignment check, apply.</summary>
public static class LayoutPlanner
{
    /// <summary>Plans a layout. The same arguments give the same layout, on every host and in every version.</summary>
    /// <param name="kernel">What the image says about where it may lie.</param>
    /// <param name="memory">The guest's RAM and what of it is taken.</param>
    /// <param name="policy">Which regions are per-tenant.</param>
    /// <param name="key">The tenant key; null where the policy has no per-tenant region.</param>
    /// <param name="seed">The VM's seed for this boot; null where the policy has no per-VM region.</param>
    /// <param name="producer">What makes slots out of the tenant key.</param>
    /// <returns>The layout, which the caller disposes of.</returns>
    /// <exception cref="KaslrMtException">
    /// KMT1111, KMT1112: a secret is missing. KMT1204: no place in RAM. KMT1205: too much RAM. KMT1207: a fault of this program.
    /// </exception>
    public static KernelLayout Plan(
        KernelGeometry kernel, GuestMemoryMap memory, Policy policy, TenantKey? key, VmSeed? seed, IAddressProducer producer)
    {
        ArgumentNullException.ThrowIfNull(producer);
        return Plan(kernel, memory, policy, new RandomOffsets(policy, key, seed, producer));
    }

    /// <summary>Plans a layout for a VM that boots again while its tenant's key is not at hand: per-tenant bases as before, per-VM ones new.</summary>
    /// <param name="kernel">What the image says about where it may lie.</param>
    /// <param name="memory">The guest's RAM and what of it is taken.</param>
    /// <param name="policy">The policy of the boot before.</param>
    /// <param name="draws">What the key gave then.</param>
    /// <param name="seed">The VM's seed for this boot; null where the policy has no per-VM region.</param>
    /// <returns>The layout that the key would give, which the caller disposes of.</returns>
    /// <exception cref="KaslrMtException">KMT1113: kernel or memory changed so that only the key can tell. Others as with the key.</exception>
    public static KernelLayout Plan(KernelGeometry kernel, GuestMemoryMap memory, Policy policy, DerivedSlots draws, VmSeed? seed)
    {
        ArgumentNullException.ThrowIfNull(draws);
        return Plan(kernel, memory, policy, new RandomOffsets(policy, draws, seed));
    }

    private static KernelLayout Plan(KernelGeometry kernel, GuestMemoryMap memory, Policy policy, RandomOffsets offsets)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        ArgumentNullException.ThrowIfNull(memory);

        // Ranges (1) and offsets (2) alternate from vmemmap down, because a region's range can end at the base drawn before it.
        RegionLayout vmemmap = Draw(Region.Vmemmap, AvailableRanges.Vmemmap(policy.ScopeOf(Region.Vmemmap)));
        RegionLayout vmalloc = Draw(Region.Vmalloc, AvailableRanges.Vmalloc(policy, new VirtualAddress(vmemmap.Base)));
        RegionLayout physmap = Draw(Region.Physmap, AvailableRanges.Physmap(policy, new VirtualAddress(vmalloc.Base), memory));
        RegionLayout virtualBase = Draw(Region.KernelVirtual, AvailableRanges.KernelVirtual(kernel, policy.ScopeOf(Region.KernelVirtual)));
        RegionLayout physicalBase = Draw(
            Region.KernelPhysical, AvailableRanges.KernelPhysical(kernel, memory, policy.ScopeOf(Region.KernelPhysical)));
        RegionLayout modules = Draw(Region.Modules, AvailableRanges.Modules(kernel, policy.ScopeOf(Region.Modules)));

        // (3)
        ReadOnlySpan<RegionLayout> regions = [physicalBase, virtualBase, physmap, vmalloc, vmemmap, modules];
        AlignmentCheck.Verify(regions, kernel, memory);

        // (4) To apply a layout is to hand it out; the relocations follow where the image is written.
        return new KernelLayout(policy, regions, memory.DirectMapSize, isLink: false);

        RegionLayout Draw(Region region, params ReadOnlySpan<KaslrConfig> available)
        {
            var window = new RegionWindow(region, available);
            Scope scope = policy.ScopeOf(region);
            ulong slot = offsets.Draw(region, scope, window.Slots);
            return new RegionLayout(region, scope, window.BaseOf(slot), slot, window);
        }
    }

    /// <summary>The link layout for <c>nokaslr</c>, after a check that the preferred physical address is free.</summary>
    /// <exception cref="KaslrMtException">KMT1206: it is not, or not RAM.</exception>
    public static KernelLayout PlanLink(KernelGeometry kernel, GuestMemoryMap memory)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        ArgumentNullException.ThrowIfNull(memory);
        PhysicalAddress start = kernel.PreferredPhysical;
        PhysicalAddress end = start + kernel.MappedSize;
        return memory.Free().Any(free => free.Start <= start && end <= free.End)
            ? KernelLayout.Link(kernel)
            : throw new KaslrMtException(
                LayoutErrors.LinkAddressTaken,
                $"nokaslr puts the kernel at {start}-{end}, which is not all free RAM",
                "give the guest more memory or a smaller initrd, or remove nokaslr");
    }
}

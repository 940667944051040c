namespace KaslrMt.Layout;

/// <summary>The second of the seed's four steps: a slot for each region, from the secret that its scope names.</summary>
internal readonly struct RandomOffsets
{
    private readonly IAddressProducer? _producer;
    private readonly TenantKey? _key;
    private readonly DerivedSlots? _draws;
    private readonly VmSeed? _seed;

    /// <summary>Takes the secrets a policy needs.</summary>
    /// <exception cref="KaslrMtException">KMT1111 or KMT1112: one that it needs is missing.</exception>
    internal RandomOffsets(Policy policy, TenantKey? key, VmSeed? seed, IAddressProducer producer)
    {
        if (policy.NeedsTenantKey && key is null)
        {
            throw new KaslrMtException(
                LayoutErrors.KeyMissing,
                $"policy {policy} has per-tenant regions and there is no tenant key",
                "give a tenant key or policy 000000");
        }

        RequireSeed(policy, seed);
        _producer = producer;
        _key = key;
        _seed = seed;
    }

    /// <summary>Takes what a key gave before, in its place.</summary>
    /// <exception cref="KaslrMtException">KMT1112: a seed is needed and missing.</exception>
    internal RandomOffsets(Policy policy, DerivedSlots draws, VmSeed? seed)
    {
        RequireSeed(policy, seed);
        _draws = draws;
        _seed = seed;
    }

    /// <summary>Draws a slot. A producer maps tenant keys only; a VM's own bases always come from HKDF.</summary>
    internal ulong Draw(Region region, Scope scope, ulong slots) => scope == Scope.PerVm
        ? HkdfDraw.Slot(_seed!.Reveal(), Scope.PerVm, region, slots)
        : _draws?.SlotOf(region, slots) ?? _producer!.DrawSlot(_key!, region, slots);

    private static void RequireSeed(Policy policy, VmSeed? seed)
    {
        if (policy.NeedsVmSeed && seed is null)
        {
            throw new KaslrMtException(
                LayoutErrors.SeedMissing, $"policy {policy} has per-VM regions and there is no VM seed", "draw a VM seed");
        }
    }
}

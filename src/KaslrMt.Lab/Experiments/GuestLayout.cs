using KaslrMt.Layout;

namespace KaslrMt.Lab.Experiments;

/// <summary>Where a guest's layout comes from.</summary>
/// <param name="Mode">Who chooses it.</param>
/// <param name="Policy">With <see cref="ExperimentMode.KaslrMt"/>: which regions are the tenant's.</param>
/// <param name="Key">With <see cref="ExperimentMode.KaslrMt"/>: the tenant's key; not disposed of here.</param>
internal sealed record GuestLayout(ExperimentMode Mode, Policy Policy, TenantKey? Key)
{
    /// <summary>No randomization.</summary>
    public static GuestLayout Off { get; } = new(ExperimentMode.Off, default, null);

    /// <summary>The kernel's own.</summary>
    public static GuestLayout Stock { get; } = new(ExperimentMode.Stock, default, null);

    /// <summary>Ours.</summary>
    public static GuestLayout OfTenant(TenantKey key, Policy policy) => new(ExperimentMode.KaslrMt, policy, key);

    /// <summary>Shows no key.</summary>
    public override string ToString() => Mode.Name();
}

using KaslrMt.Cli.Commands;
using KaslrMt.Cli.Guests;
using KaslrMt.Cli.Options;
using KaslrMt.Cli.Output;
using KaslrMt.Cli.Sharing;
using KaslrMt.Cli.Tables;
using KaslrMt.Cli.Vms;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Lab.Experiments;
using KaslrMt.Lab.Html;
using KaslrMt.Lab.Results;
using KaslrMt.Layout;
using KaslrMt.Tenants;
using KaslrMt.Vms;

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

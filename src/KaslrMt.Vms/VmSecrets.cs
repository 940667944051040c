using KaslrMt.Layout;

namespace KaslrMt.Vms;

/// <summary>The secrets that a VM starts with, beside its <see cref="VmSpec"/>.</summary>
/// <param name="Key">The tenant key, or null where the tenant table gives it.</param>
/// <param name="Seed">The VM seed, or null for a new random one at each boot.</param>
public sealed record VmSecrets(TenantKey? Key, VmSeed? Seed) : IDisposable
{
    /// <summary>Gets no secrets.</summary>
    public static VmSecrets None => new(null, null);

    /// <summary>Clears both.</summary>
    public void Dispose()
    {
        Key?.Dispose();
        Seed?.Dispose();
    }

    /// <summary>Shows nothing.</summary>
    public override string ToString() => nameof(VmSecrets);
}

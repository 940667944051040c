using KaslrMt.Vms;

namespace KaslrMt.Cli.Commands;

/// <summary>Intended against observed, as <c>verify</c> reports it.</summary>
internal sealed record VerifyReport(string Name, string? Tenant, bool Matches, IReadOnlyList<VerifyReport.VerifiedRegion> Regions)
{
    /// <summary>How the VM's bases stand to those of its tenant's other VMs on this host; null when it is alone.</summary>
    public VerifiedPromise? Promise { get; init; }

    /// <summary>Whether nothing is wrong.</summary>
    public bool Holds => Matches && Promise is null or { Holds: true };

    /// <summary>One region; observed is null while the kernel has not drawn the modules' base.</summary>
    internal sealed record VerifiedRegion(string Name, string Scope, string Intended, string? Observed, bool? Matches);

    /// <summary>The policy's promise over a tenant's VMs.</summary>
    internal sealed record VerifiedPromise(string Tenant, bool Holds, IReadOnlyList<string> Vms, IReadOnlyList<string> Violations)
    {
        /// <summary>The report of a comparison.</summary>
        public static VerifiedPromise? Of(PolicyCheck? promise) => promise is null
            ? null
            : new VerifiedPromise(promise.Tenant, promise.Violations.Count == 0, promise.Vms, [.. promise.Violations.Select(PolicyCheck.Describe)]);
    }
}

namespace KaslrMt.Tenants;

/// <summary>A host as the table knows it.</summary>
public sealed record HostRecord
{
    /// <summary>Gets the host's identity, see <see cref="HostIdentity"/>.</summary>
    public required string Id { get; init; }

    /// <summary>Gets the host's name, for people.</summary>
    public required string Name { get; init; }

    /// <summary>Gets the kernel's boot id when the host last renewed its lease.</summary>
    public required string BootId { get; init; }

    /// <summary>Gets whether the host's lease holds. Without a lease its VMs are in doubt.</summary>
    public required bool Alive { get; init; }

    /// <summary>Gets the time at which the host joined.</summary>
    public required DateTimeOffset Joined { get; init; }
}

/// <summary>The rule for forgetting a host.</summary>
public static class HostRules
{
    /// <summary>Refuses to forget a host that is alive or has VMs.</summary>
    /// <param name="host">The host's identity.</param>
    /// <param name="known">Whether the table knows the host.</param>
    /// <param name="alive">Whether the host's lease holds.</param>
    /// <param name="vm">A VM that is on the host or migrates to it; null where there is none.</param>
    /// <exception cref="KaslrMtException">4010 unknown, 4012 alive, 4006 it has VMs.</exception>
    public static void RequireRemovable(string host, bool known, bool alive, string? vm)
    {
        if (!known)
        {
            throw Unknown(host);
        }

        if (alive)
        {
            throw new KaslrMtException(TenantErrors.HostAlive, $"host {host} is alive", "stop kaslrmt there and wait until its lease has ended");
        }

        if (vm is not null)
        {
            throw new KaslrMtException(
                TenantErrors.VmStatusConflict, $"host {host} still has VM '{vm}'", "restore saved VMs on another host, or evict the host with its saved VMs");
        }
    }

    internal static KaslrMtException Unknown(string host) =>
        new(TenantErrors.HostUnknown, $"there is no host {host}", "list the hosts for those there are");
}

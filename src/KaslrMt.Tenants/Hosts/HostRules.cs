namespace KaslrMt.Tenants;

/// <summary>When a host may be forgotten.</summary>
internal static class HostRules
{
    /// <exception cref="KaslrMtException">4010 unknown, 4012 alive, 4006 it has VMs.</exception>
    internal static void RequireRemovable(string host, bool known, bool alive, string? vm)
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
        new(TenantErrors.HostUnknown, $"there is no host {host}", "see 'kaslrmt host list' for those there are");
}

using KaslrMt.Vms;

namespace KaslrMt.Agent;

/// <summary>Which tenants a caller may act for. Whoever may start a VM in a tenant learns its bases, so every call is checked, reading ones too.</summary>
/// <param name="configuration">What the operator granted.</param>
/// <param name="ownUser">The user that this agent runs as.</param>
internal sealed class Access(HostConfiguration configuration, uint ownUser)
{
    /// <summary>Whether a caller is the agent's own user, or root, and may do all.</summary>
    public bool IsOwner(Peer peer) => peer.User == 0 || peer.User == ownUser;

    /// <summary>Whether a caller may do anything at all.</summary>
    public bool IsKnown(Peer peer) => IsOwner(peer) || configuration.Grants.Any(grant => grant.Covers(peer.User, [peer.Group, .. peer.Groups]));

    /// <summary>Whether a caller may act for a tenant. VMs without a tenant are the agent's own user's.</summary>
    public bool MayActFor(Peer peer, string? tenant) =>
        IsOwner(peer) || (tenant is not null && configuration.Grants.Any(grant => grant.Tenant == tenant && grant.Covers(peer.User, [peer.Group, .. peer.Groups])));

    /// <summary>Refuses a caller that may not act for a tenant.</summary>
    /// <exception cref="KaslrMtException">KMT9026.</exception>
    public void Require(Peer peer, string? tenant)
    {
        if (!MayActFor(peer, tenant))
        {
            throw new KaslrMtException(
                VmErrors.NotAllowed,
                tenant is null ? $"user {peer.User} may start VMs of a tenant only" : $"user {peer.User} may not act for tenant '{Printable.Of(tenant, 64)}'",
                $"the operator grants it in the agent's configuration: allow = {(tenant is null ? "TENANT" : Printable.Of(tenant, 64))}: user or @group");
        }
    }
}

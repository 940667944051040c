using KaslrMt.TestSupport.Etcd;

namespace KaslrMt.Tenants.Tests.Etcd;

/// <summary>Three nodes that can be cut off: by their links where this process is root, else by freezing them.</summary>
public sealed class PartitionedNodes : EtcdCluster
{
    public PartitionedNodes()
        : this(MemberNetwork.TryCreate(3))
    {
    }

    private PartitionedNodes(MemberNetwork? network)
        : base(3, "http", network, [])
    {
    }

    /// <summary>Cuts a node off from the other two; its clients still reach it.</summary>
    internal void CutFromPeers(EtcdNode node) => Set(node, false, (network, member) => network.SetPeerLink(member, up: false));

    /// <summary>Cuts a node off from its clients; it still is a member.</summary>
    internal void CutFromClients(EtcdNode node) => Set(node, false, (network, member) => network.SetClientLink(member, up: false));

    /// <summary>Cuts it off from everybody.</summary>
    internal void Cut(EtcdNode node)
    {
        CutFromPeers(node);
        CutFromClients(node);
    }

    /// <summary>Joins it to everybody again.</summary>
    internal void Join(EtcdNode node) => Set(node, true, (network, member) =>
    {
        network.SetPeerLink(member, up: true);
        network.SetClientLink(member, up: true);
    });

    private void Set(EtcdNode node, bool up, Action<MemberNetwork, int> link)
    {
        if (Network is { } network)
        {
            link(network, Nodes.ToList().IndexOf(node));
        }
        else if (up)
        {
            node.Thaw();
        }
        else
        {
            node.Freeze();
        }
    }
}

using KaslrMt.TestSupport.Etcd;

namespace KaslrMt.Tenants.Tests.Etcd;

/// <summary>A cluster that survives the loss of a node.</summary>
public sealed class ThreeNodes : EtcdCluster
{
    public ThreeNodes()
        : base(3)
    {
    }
}

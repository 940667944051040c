using KaslrMt.Tenants.Tests.Faults;
using KaslrMt.TestSupport.Etcd;

namespace KaslrMt.Tenants.Tests.Etcd;

public sealed class EtcdFaultTests(EtcdCluster cluster) : FaultTests, IClassFixture<EtcdCluster>, IDisposable
{
    private readonly Scratch _scratch = Scratch.InMemory();
    private readonly string _prefix = $"test/{Guid.NewGuid():N}";

    private protected override string Location => cluster.Location(_prefix);

    private protected override KeyRingFile Keys => _scratch.Keys();

    public void Dispose() => _scratch.Dispose();
}

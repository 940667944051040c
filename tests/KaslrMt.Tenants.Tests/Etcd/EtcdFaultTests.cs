using KaslrMt.Tenants.Tests.Faults;

namespace KaslrMt.Tenants.Tests.Etcd;

public sealed class EtcdFaultTests(EtcdCluster cluster) : FaultTests, IClassFixture<EtcdCluster>, IDisposable
{
    private readonly Scratch _scratch = new();
    private readonly string _prefix = $"test/{Guid.NewGuid():N}";

    private protected override string Location => cluster.Location(_prefix);

    private protected override KeyRingFile Keys => _scratch.Keys;

    public void Dispose() => _scratch.Dispose();
}

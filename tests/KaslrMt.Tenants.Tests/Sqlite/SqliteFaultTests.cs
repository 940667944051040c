using KaslrMt.Tenants.Sqlite;
using KaslrMt.Tenants.Tests.Faults;

namespace KaslrMt.Tenants.Tests.Sqlite;

public sealed class SqliteFaultTests : FaultTests, IDisposable
{
    private readonly Scratch _scratch = new();

    private protected override string Location => $"sqlite:{_scratch.File("tenants.db")}";

    private protected override KeyRingFile Keys => _scratch.Keys;

    public void Dispose() => _scratch.Dispose();
}

using KaslrMt.Tenants.Etcd;

namespace KaslrMt.Tenants.Tests.Etcd;

/// <summary>A connection that ends while a stream is opened or written: a watch is taken up again, a lease is a numbered error, and nothing else comes out.</summary>
public sealed class EtcdStreamTests
{
    private static readonly EtcdAccess Access = new()
    {
        RequestTimeout = TimeSpan.FromSeconds(5),
        Patience = TimeSpan.FromMilliseconds(300),
        WatchSilence = TimeSpan.FromSeconds(5),
    };

    public static TheoryData<ClosingMoment> Moments => [.. Enum.GetValues<ClosingMoment>()];

    [Theory]
    [MemberData(nameof(Moments))]
    public async Task A_watch_whose_connection_ends_ends_with_it(ClosingMoment moment)
    {
        await using var server = new ClosingServer(moment);
        using var client = new EtcdClient(EtcdLocation.Parse(server.Location), Access);
        for (int i = 0; i < 10; i++)
        {
            Assert.Empty(await client.WatchAsync("/test/", 1, CancellationToken.None).AllAsync());
        }

        Assert.InRange(server.Accepted, 10, int.MaxValue);
    }

    [Theory]
    [MemberData(nameof(Moments))]
    public async Task A_lease_whose_connection_ends_is_a_numbered_error(ClosingMoment moment)
    {
        await using var server = new ClosingServer(moment);
        using var client = new EtcdClient(EtcdLocation.Parse(server.Location), Access);
        for (int i = 0; i < 3; i++)
        {
            KaslrMtException error = await Assert.ThrowsAsync<KaslrMtException>(() => client.KeepAliveAsync(7, CancellationToken.None));
            Assert.Equal(TenantErrors.EtcdUnreachable, error.Code);
        }
    }

    [Theory]
    [MemberData(nameof(Moments))]
    public async Task A_caller_who_gives_up_is_told_so(ClosingMoment moment)
    {
        await using var server = new ClosingServer(moment);
        using var client = new EtcdClient(EtcdLocation.Parse(server.Location), Access);
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => client.KeepAliveAsync(7, cancelled.Token));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => client.WatchAsync("/test/", 1, cancelled.Token).AllAsync());
    }
}

using Grpc.Core;
using Grpc.Net.Client;
using KaslrMt.Tenants.Etcd.Api;

namespace KaslrMt.Tenants.Etcd;

/// <summary>One endpoint of the cluster, and the services of etcd's API there. All calls share its HTTP/2 connection.</summary>
internal sealed class EtcdMember : IDisposable
{
    // The largest page of the table is far below; a server that sends more is not etcd, or has another's keys under our prefix.
    private const int LargestAnswer = 64 << 20;

    // etcd takes 1.5 MiB (--max-request-bytes), and a command writes some KiB.
    private const int LargestRequest = 4 << 20;

    private readonly GrpcChannel _channel;

    /// <param name="endpoint">The member's address.</param>
    /// <param name="http">
    /// Makes the connections. It is given to the channel as it is, so that a failed connection is tried again with the next call: a channel with connections
    /// of its own waits for up to two minutes.
    /// </param>
    internal EtcdMember(Uri endpoint, HttpClient http)
    {
        Endpoint = endpoint;
        _channel = GrpcChannel.ForAddress(endpoint, new GrpcChannelOptions
        {
            HttpClient = http,
            MaxReceiveMessageSize = LargestAnswer,
            MaxSendMessageSize = LargestRequest,

            // The size of a message is limited as it arrives, not as it is unpacked; etcd packs none unless asked to.
            CompressionProviders = [],
        });
        CallInvoker invoker = _channel.CreateCallInvoker();
        (KeyValues, Watches, Leases) = (new KV.KVClient(invoker), new Api.Watch.WatchClient(invoker), new Lease.LeaseClient(invoker));
        (Maintenance, Users) = (new Maintenance.MaintenanceClient(invoker), new Auth.AuthClient(invoker));
    }

    internal Uri Endpoint { get; }

    internal KV.KVClient KeyValues { get; }

    internal Api.Watch.WatchClient Watches { get; }

    internal Lease.LeaseClient Leases { get; }

    internal Maintenance.MaintenanceClient Maintenance { get; }

    internal Auth.AuthClient Users { get; }

    public void Dispose() => _channel.Dispose();
}

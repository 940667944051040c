using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Nodes;
using KaslrMt.Tenants.Etcd;

namespace KaslrMt.Tenants.Tests.Etcd;

/// <summary>Real etcd processes of Debian's package, one or more, as a cluster on loopback.</summary>
public class EtcdCluster : IDisposable
{
    private readonly Scratch _scratch = new();
    private readonly EtcdNode[] _nodes;

    public EtcdCluster()
        : this(1)
    {
    }

    private protected EtcdCluster(int size, string scheme = "http", params string[] further)
    {
        int[] ports = FreePorts(2 * size);
        string peers = string.Join(',', Enumerable.Range(0, size).Select(i => $"n{i}=http://127.0.0.1:{ports[(2 * i) + 1]}"));
        _nodes =
        [
            .. Enumerable.Range(0, size).Select(i => new EtcdNode(
                ports[2 * i],
                scheme,
                [
                    "--name", $"n{i}", "--data-dir", _scratch.File($"n{i}"), "--initial-cluster", peers, "--initial-cluster-state", "new",
                    "--listen-client-urls", $"{scheme}://127.0.0.1:{ports[2 * i]}", "--advertise-client-urls", $"{scheme}://127.0.0.1:{ports[2 * i]}",
                    "--listen-peer-urls", $"http://127.0.0.1:{ports[(2 * i) + 1]}", "--initial-advertise-peer-urls", $"http://127.0.0.1:{ports[(2 * i) + 1]}",
                    "--heartbeat-interval", "100", "--election-timeout", "1000", "--logger", "zap", "--log-level", "error", .. further,
                ])),
        ];
    }

    internal IReadOnlyList<EtcdNode> Nodes => _nodes;

    internal string Location(string prefix) =>
        $"{(_nodes[0].Endpoint.Scheme == "https" ? "etcds" : "etcd")}://{string.Join(',', _nodes.Select(node => node.Endpoint.Authority))}/{prefix}";

    /// <summary>The node that leads.</summary>
    internal async Task<EtcdNode> LeaderAsync()
    {
        foreach (EtcdNode node in _nodes.Where(node => node.IsRunning))
        {
            using var client = new EtcdClient(EtcdLocation.Parse($"etcd://{node.Endpoint.Authority}"), new EtcdAccess());
            JsonElement status = await client.CallAsync("/v3/maintenance/status", [], CancellationToken.None);
            if (status.TryGetProperty("leader", out JsonElement leader)
                && leader.GetString() == status.GetProperty("header").GetProperty("member_id").GetString())
            {
                return node;
            }
        }

        throw new InvalidOperationException("no node leads");
    }

    internal async Task<JsonElement> CallAsync(string path, JsonObject request)
    {
        using var client = new EtcdClient(EtcdLocation.Parse(Location("")), new EtcdAccess());
        return await client.CallAsync(path, request, CancellationToken.None);
    }

    public void Dispose()
    {
        Array.ForEach(_nodes, node => node.Dispose());
        _scratch.Dispose();
        GC.SuppressFinalize(this);
    }

    private static int[] FreePorts(int count)
    {
        TcpListener[] listeners = [.. Enumerable.Range(0, count).Select(_ => new TcpListener(IPAddress.Loopback, 0))];
        Array.ForEach(listeners, listener => listener.Start());
        int[] ports = [.. listeners.Select(listener => ((IPEndPoint)listener.LocalEndpoint).Port)];
        Array.ForEach(listeners, listener => listener.Stop());
        return ports;
    }
}

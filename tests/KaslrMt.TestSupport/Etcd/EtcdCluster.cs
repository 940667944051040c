using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace KaslrMt.TestSupport.Etcd;

/// <summary>Real etcd processes of Debian's package, one or more, as a cluster.</summary>
public class EtcdCluster : IDisposable
{
    private readonly Scratch _scratch = Scratch.InMemory();
    private readonly EtcdNode[] _nodes;

    public EtcdCluster()
        : this(1)
    {
    }

    private protected EtcdCluster(int size, string scheme = "http", params string[] further)
        : this(size, scheme, null, further)
    {
    }

    /// <summary>On loopback, or in the namespaces of a network, which it then owns.</summary>
    private protected EtcdCluster(int size, string scheme, MemberNetwork? network, string[] further)
    {
        Network = network;

        // Loopback is a whole /8: nobody else has this address, so nobody takes a port of it between here and etcd. The certificate knows only one.
        string local = scheme == "https" ? "127.0.0.1" : $"127.{RandomNumberGenerator.GetInt32(1, 255)}.{RandomNumberGenerator.GetInt32(1, 255)}.{RandomNumberGenerator.GetInt32(1, 255)}";
        int[] ports = network is null ? FreePorts(local, 2 * size) : [.. Enumerable.Range(0, 2 * size).Select(i => 2379 + (i % 2))];
        string[] clients = [.. Enumerable.Range(0, size).Select(i => $"{scheme}://{network?.ClientAddress(i) ?? local}:{ports[2 * i]}")];
        string[] peers = [.. Enumerable.Range(0, size).Select(i => $"http://{network?.PeerAddress(i) ?? local}:{ports[(2 * i) + 1]}")];
        string members = string.Join(',', peers.Select((peer, i) => $"n{i}={peer}"));
        _nodes =
        [
            .. Enumerable.Range(0, size).Select(i => new EtcdNode(
                new Uri(clients[i]),
                network?.Inside(i) ?? [],
                [
                    "--name", $"n{i}", "--data-dir", _scratch.At($"n{i}"), "--initial-cluster", members, "--initial-cluster-state", "new",
                    "--listen-client-urls", clients[i], "--advertise-client-urls", clients[i],
                    "--listen-peer-urls", peers[i], "--initial-advertise-peer-urls", peers[i],
                    "--heartbeat-interval", "100", "--election-timeout", "1000", "--logger", "zap", "--log-level", "error", .. further,
                ])),
        ];
    }

    private protected MemberNetwork? Network { get; }

    internal IReadOnlyList<EtcdNode> Nodes => _nodes;

    internal string Location(string prefix) =>
        $"{(_nodes[0].Endpoint.Scheme == "https" ? "etcds" : "etcd")}://{string.Join(',', _nodes.Select(node => node.Endpoint.Authority))}/{prefix}";

    /// <summary>The node that leads, once one does.</summary>
    internal async Task<EtcdNode> LeaderAsync()
    {
        EtcdNode? leading = null;
        await Table.EventuallyAsync(
            async () =>
            {
                foreach (EtcdNode node in _nodes.Where(node => node.IsRunning))
                {
                    leading ??= await LeadsAsync(node) ? node : null;
                }

                return leading is not null;
            },
            "a leader");
        return leading!;
    }

    /// <summary>Waits until every node answers: a majority is enough for changes, not for what each member is asked.</summary>
    internal Task AllUpAsync() => Task.WhenAll(_nodes.Select(StatusAsync));

    private static Task<JsonElement> StatusAsync(EtcdNode node) => Gateway.CallAsync(node.Endpoint, "/v3/maintenance/status", []);

    private static async Task<bool> LeadsAsync(EtcdNode node)
    {
        JsonElement status = await StatusAsync(node);
        return status.TryGetProperty("leader", out JsonElement leader)
            && leader.GetString() == status.GetProperty("header").GetProperty("member_id").GetString();
    }

    /// <summary>Calls the first node's gateway, as an administrator does.</summary>
    internal Task<JsonElement> CallAsync(string path, JsonObject request) => Gateway.CallAsync(_nodes[0].Endpoint, path, request);

    public void Dispose()
    {
        Array.ForEach(_nodes, node => node.Dispose());
        Network?.Dispose();
        _scratch.Dispose();
        GC.SuppressFinalize(this);
    }

    private static int[] FreePorts(string address, int count)
    {
        // Below the range that the kernel takes ports for connections from (32768 and up).
        List<int> ports = [];
        while (ports.Count < count)
        {
            int port = RandomNumberGenerator.GetInt32(10_000, 32_000);
            try
            {
                using var listener = new TcpListener(IPAddress.Parse(address), port);
                listener.Start();
                if (!ports.Contains(port))
                {
                    ports.Add(port);
                }
            }
            catch (SocketException)
            {
                // Somebody has it: another.
            }
        }

        return [.. ports];
    }
}

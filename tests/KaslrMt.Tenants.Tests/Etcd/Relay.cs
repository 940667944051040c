using System.Net;
using System.Net.Sockets;

namespace KaslrMt.Tenants.Tests.Etcd;

/// <summary>A relay to an endpoint, which can go away and come back for those behind it alone.</summary>
internal sealed class Relay : IDisposable
{
    private readonly Uri _target;
    private readonly CancellationTokenSource _end = new();
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private CancellationTokenSource _link = new();

    internal Relay(Uri target)
    {
        _target = target;
        _listener.Start();
        _ = AcceptAsync();
    }

    internal string Authority => $"127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}";

    internal bool IsCut => _link.IsCancellationRequested;

    /// <summary>Ends all connections and refuses new ones.</summary>
    internal void Cut() => _link.Cancel();

    internal void Join() => _link = new CancellationTokenSource();

    public void Dispose()
    {
        _end.Cancel();
        _link.Cancel();
        _listener.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_end.IsCancellationRequested)
        {
            try
            {
                _ = RelayAsync(await _listener.AcceptTcpClientAsync(_end.Token), _link.Token);
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                return;
            }
        }
    }

    private async Task RelayAsync(TcpClient client, CancellationToken link)
    {
        using (client)
        using (var server = new TcpClient())
        {
            try
            {
                link.ThrowIfCancellationRequested();
                await server.ConnectAsync(_target.Host, _target.Port, link);
                await Task.WhenAny(
                    client.GetStream().CopyToAsync(server.GetStream(), link), server.GetStream().CopyToAsync(client.GetStream(), link));
            }
            catch (Exception e) when (e is OperationCanceledException or SocketException or IOException)
            {
                // The connection ends, which is what its user sees.
            }
        }
    }
}

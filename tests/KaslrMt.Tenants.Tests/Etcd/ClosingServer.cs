using System.Net;
using System.Net.Sockets;

namespace KaslrMt.Tenants.Tests.Etcd;

/// <summary>A server that takes connections and ends each of them, as an etcd that is just stopping does.</summary>
internal sealed class ClosingServer : IAsyncDisposable
{
    // RFC 9113, 3.4 and 4.1: an empty SETTINGS frame is all that a server owes its client to begin.
    private static readonly byte[] Settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly ClosingMoment _moment;
    private readonly Task _serving;
    private int _accepted;

    internal ClosingServer(ClosingMoment moment)
    {
        _moment = moment;
        _listener.Start();
        _serving = Task.Run(ServeAsync);
    }

    internal string Location => $"etcd://{_listener.LocalEndpoint}/test";

    /// <summary>How many connections were ended.</summary>
    internal int Accepted => Volatile.Read(ref _accepted);

    public async ValueTask DisposeAsync()
    {
        _listener.Dispose();
        await _serving;
    }

    private async Task ServeAsync()
    {
        while (true)
        {
            try
            {
                using Socket socket = await _listener.AcceptSocketAsync();
                Interlocked.Increment(ref _accepted);
                await EndAsync(socket);
            }
            catch (Exception error) when (error is SocketException or IOException)
            {
                // The client hung up first; where it is the listener that was stopped, the next round says so.
            }
            catch (InvalidOperationException)
            {
                // The listener was stopped, between two connections or while it waited.
                return;
            }
        }
    }

    private async Task EndAsync(Socket socket)
    {
        byte[] heard = new byte[1024];
        switch (_moment)
        {
            case ClosingMoment.AtOnce:
                break;
            case ClosingMoment.WithAReset:
                socket.LingerState = new LingerOption(true, 0);
                break;
            case ClosingMoment.AfterTheClientSpoke:
                await socket.ReceiveAsync(heard);
                break;
            case ClosingMoment.AfterTheHandshake:
                await socket.SendAsync(Settings);
                await socket.ReceiveAsync(heard);
                break;
            case ClosingMoment.AfterNoHTTP:
                await socket.SendAsync("SSH-2.0-OpenSSH_9.2\r\n"u8.ToArray());
                await socket.ReceiveAsync(heard);
                break;
        }
    }
}

/// <summary>When the connection ends.</summary>
public enum ClosingMoment
{
    AtOnce,
    WithAReset,
    AfterTheClientSpoke,
    AfterTheHandshake,
    AfterNoHTTP,
}

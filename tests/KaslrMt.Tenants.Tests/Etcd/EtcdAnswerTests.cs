using System.Net;
using System.Net.Sockets;
using System.Text;
using KaslrMt.Tenants.Etcd;

namespace KaslrMt.Tenants.Tests.Etcd;

/// <summary>What answers at an endpoint need not be etcd.</summary>
public sealed class EtcdAnswerTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("{}", 4045)]
    [InlineData("""{"header":{"revision":"x"},"succeeded":true}""", 4045)]
    [InlineData("""{"kvs":[{"key":7}]}""", 4045)]
    [InlineData("""{"kvs":[{"key":"c2VhbA==","value":"e30=","mod_revision":"3"}]}""", 4023)]
    [InlineData("""{"error":"no such method","code":12}""", 4045)]
    [InlineData("<html>a proxy</html>", 4040)]
    public async Task An_answer_of_another_shape_is_a_numbered_error(string answer, int expected)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        Task serving = ServeAsync(listener, answer);
        var location = EtcdLocation.Parse($"etcd://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}");
        KaslrMtException error = await Assert.ThrowsAsync<KaslrMtException>(
            () => EtcdTenantStore.OpenAsync(location, new EtcdAccess { Patience = TimeSpan.FromSeconds(1) }, _scratch.Keys));
        Assert.Equal(expected, error.Code.Number);
        listener.Stop();
        await Assert.ThrowsAnyAsync<Exception>(() => serving);
    }

    private static async Task ServeAsync(TcpListener listener, string answer)
    {
        while (true)
        {
            using TcpClient client = await listener.AcceptTcpClientAsync();
            NetworkStream stream = client.GetStream();
            byte[] request = new byte[64 << 10];
            _ = await stream.ReadAsync(request);
            byte[] body = Encoding.UTF8.GetBytes(answer);
            await stream.WriteAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 200 OK\r\nContent-Length: {body.Length}\r\nConnection: close\r\n\r\n"));
            await stream.WriteAsync(body);
            client.Client.Shutdown(SocketShutdown.Send);
            _ = await stream.ReadAsync(request);
        }
    }
}

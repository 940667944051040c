using System.IO.Compression;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Google.Protobuf;
using KaslrMt.Tenants.Etcd;
using KaslrMt.Tenants.Etcd.Api;
using Microsoft.AspNetCore.Http;

namespace KaslrMt.Tenants.Tests.Etcd;

/// <summary>What answers at an endpoint need not be etcd.</summary>
public sealed class EtcdAnswerTests : IDisposable
{
    private static readonly ResponseHeader Header = new() { Revision = 7 };

    private static readonly Dictionary<string, RequestDelegate> Answers = new()
    {
        ["an empty message"] = NotEtcd.Message([]),
        ["a revision below 0"] = NotEtcd.Message(new RangeResponse { Header = new ResponseHeader { Revision = -1 } }.ToByteArray()),
        ["a field of another type"] = NotEtcd.Message([0x08, 0x05]),
        ["a message that ends early"] = NotEtcd.Message([0x0a, 0x7f, 0x18]),
        ["a pair without a key"] = NotEtcd.Message(new RangeResponse { Header = Header, Kvs = { new KeyValue { ModRevision = 3 } } }.ToByteArray()),
        ["a pair without a revision"] = NotEtcd.Message(new RangeResponse { Header = Header, Kvs = { new KeyValue { Key = ByteString.CopyFromUtf8("seal") } } }.ToByteArray()),
        ["a seal that is none"] = NotEtcd.Message(
            new RangeResponse { Header = Header, Kvs = { new KeyValue { Key = ByteString.CopyFromUtf8("seal"), Value = ByteString.CopyFromUtf8("{}"), ModRevision = 3 } } }.ToByteArray()),
        ["a message of 2 GiB"] = NotEtcd.Message([0x0a], int.MaxValue),
        ["a packed message"] = NotEtcd.Message(Packed(new byte[1 << 20]), packed: true),
        ["no such method"] = NotEtcd.Status(12, "no such method"),
        ["words that take the terminal over"] = NotEtcd.Status(2, "\u001b[2J" + new string('x', 5000)),
        ["no leader"] = NotEtcd.Status(14, "etcdserver: no leader"),
        ["too many requests"] = NotEtcd.Status(8, "etcdserver: too many requests"),
        ["a full database"] = NotEtcd.Status(8, "etcdserver: mvcc: database space exceeded"),
        ["a refusal"] = NotEtcd.Status(7, "etcdserver: permission denied"),
        ["a page"] = NotEtcd.Page(200),
        ["a page of a proxy without a server"] = NotEtcd.Page(502),
        ["a page that is not found"] = NotEtcd.Page(404),
        ["a page that wants a password"] = NotEtcd.Page(401),
    };

    private readonly Scratch _scratch = Scratch.InMemory();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("an empty message", 4045)]
    [InlineData("a revision below 0", 4045)]
    [InlineData("a field of another type", 4045)]
    [InlineData("a message that ends early", 4045)]
    [InlineData("a pair without a key", 4045)]
    [InlineData("a pair without a revision", 4045)]
    [InlineData("a seal that is none", 4023)]
    [InlineData("a message of 2 GiB", 4045)]
    [InlineData("a packed message", 4045)]
    [InlineData("no such method", 4045)]
    [InlineData("words that take the terminal over", 4045)]
    [InlineData("no leader", 4040)]
    [InlineData("too many requests", 4040)]
    [InlineData("a full database", 4043)]
    [InlineData("a refusal", 4041)]
    [InlineData("a page", 4040)]
    [InlineData("a page of a proxy without a server", 4040)]
    [InlineData("a page that is not found", 4040)]
    [InlineData("a page that wants a password", 4040)]
    public async Task An_answer_of_another_shape_is_a_numbered_error(string answer, int expected)
    {
        await using NotEtcd server = await NotEtcd.StartAsync(Answers[answer]);
        KaslrMtException error = await OpenAsync(server.Location);
        Assert.Equal(expected, error.Code.Number);
        Assert.DoesNotContain(error.Message, char.IsControl);
        Assert.InRange(error.Message.Length, 20, 600);
    }

    [Fact]
    public async Task An_answer_that_never_comes_ends_with_the_patience()
    {
        await using NotEtcd server = await NotEtcd.StartAsync(context => Task.Delay(Timeout.Infinite, context.RequestAborted));
        KaslrMtException error = await OpenAsync(server.Location);
        Assert.Equal(TenantErrors.EtcdUnreachable, error.Code);
        Assert.Contains("in time", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 20\r\nConnection: close\r\n\r\n<html>a proxy</html>")]
    [InlineData("SSH-2.0-OpenSSH_9.2\r\n")]
    [InlineData("")]
    public async Task A_server_of_another_protocol_is_unreachable(string answer)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        Task serving = ServeAsync(listener, answer);
        KaslrMtException error = await OpenAsync($"etcd://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}");
        Assert.Equal(TenantErrors.EtcdUnreachable, error.Code);
        listener.Stop();
        await Assert.ThrowsAnyAsync<Exception>(() => serving);
    }

    [Fact]
    public async Task A_caller_that_gives_up_gets_its_own_cancellation()
    {
        await using NotEtcd server = await NotEtcd.StartAsync(context => Task.Delay(Timeout.Infinite, context.RequestAborted));
        using var cancellation = new CancellationTokenSource(TimeSpan.FromMilliseconds(200));
        var access = new EtcdAccess { RequestTimeout = TimeSpan.FromMinutes(1), Patience = TimeSpan.FromMinutes(1) };
        OperationCanceledException error = await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => EtcdTenantStore.OpenAsync(EtcdLocation.Parse(server.Location), access, _scratch.Keys(), cancellation.Token));
        Assert.Equal(cancellation.Token, error.CancellationToken);
    }

    private Task<KaslrMtException> OpenAsync(string location) => Assert.ThrowsAsync<KaslrMtException>(() => EtcdTenantStore.OpenAsync(
        EtcdLocation.Parse(location), new EtcdAccess { RequestTimeout = TimeSpan.FromSeconds(1), Patience = TimeSpan.FromSeconds(1) }, _scratch.Keys()));

    private static async Task ServeAsync(TcpListener listener, string answer)
    {
        while (true)
        {
            using TcpClient client = await listener.AcceptTcpClientAsync();
            NetworkStream stream = client.GetStream();
            byte[] request = new byte[64 << 10];
            _ = await stream.ReadAsync(request);
            await stream.WriteAsync(Encoding.ASCII.GetBytes(answer));
            client.Client.Shutdown(SocketShutdown.Send);
        }
    }

    private static byte[] Packed(byte[] message)
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.SmallestSize))
        {
            gzip.Write(message);
        }

        return packed.ToArray();
    }
}

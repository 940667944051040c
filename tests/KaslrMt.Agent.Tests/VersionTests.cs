using System.Net.Sockets;
using System.Text;
using KaslrMt.Vms;

namespace KaslrMt.Agent.Tests;

/// <summary>A command meets an agent of another version, or something that is no agent.</summary>
public sealed class VersionTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task An_agent_of_this_version_or_a_later_one_that_still_serves_it_is_taken()
    {
        foreach (int api in (int[])[AgentSocket.ApiVersion, AgentSocket.ApiVersion + 1])
        {
            AgentInfo? info = await ConnectAsync("200 OK", $$"""{"product":"kaslrmtd","version":"9","api":{{api}},"processId":1,"user":0,"vms":0,"news":[1]}""");
            Assert.Equal(api, info!.Api);
        }
    }

    [Theory]
    [InlineData("200 OK", """{"product":"kaslrmtd","version":"0.0.1","api":0,"processId":7,"user":0,"vms":0}""")]
    [InlineData("200 OK", """{"product":"kaslrmtd"}""")]
    [InlineData("200 OK", "hello")]
    [InlineData("200 OK", "")]
    [InlineData("404 Not Found", "")]
    [InlineData("404 Not Found", "<html>")]
    [InlineData("404 Not Found", """{"code":"KMT9025","category":"Usage","message":"there is no GET /v1"}""")]
    public async Task An_agent_that_does_not_serve_this_version_is_refused_with_what_to_do(string status, string body)
    {
        KaslrMtException error = await Assert.ThrowsAsync<KaslrMtException>(() => ConnectAsync(status, body));
        Assert.Equal(VmErrors.AgentVersion, error.Code);
        Assert.NotNull(error.Remedy);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Fact]
    public async Task A_refusal_stays_the_refusal()
    {
        KaslrMtException error = await Assert.ThrowsAsync<KaslrMtException>(
            () => ConnectAsync("403 Forbidden", """{"code":"KMT9026","category":"Permission","message":"user 7 has no rights"}"""));
        Assert.Equal(VmErrors.NotAllowed, error.Code);
    }

    [Fact]
    public async Task Where_nobody_listens_there_is_no_agent()
    {
        using var client = new AgentClient(_scratch.At("none.sock"));
        Assert.Null(await client.TryConnectAsync(CancellationToken.None));
        using (var dead = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            dead.Bind(new UnixDomainSocketEndPoint(_scratch.At("dead.sock")));
            using var other = new AgentClient(_scratch.At("dead.sock"));
            Assert.Null(await other.TryConnectAsync(CancellationToken.None));
        }
    }

    private async Task<AgentInfo?> ConnectAsync(string status, string body)
    {
        string path = _scratch.At($"{Guid.NewGuid():N}.sock");
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        Task answering = AnswerAsync(listener, status, body);
        using var client = new AgentClient(path);
        try
        {
            return await client.TryConnectAsync(CancellationToken.None);
        }
        finally
        {
            await answering;
        }
    }

    private static async Task AnswerAsync(Socket listener, string status, string body)
    {
        using Socket peer = await listener.AcceptAsync();
        var request = new StringBuilder();
        var bytes = new byte[4096];
        while (!request.ToString().Contains("\r\n\r\n", StringComparison.Ordinal))
        {
            request.Append(Encoding.ASCII.GetString(bytes, 0, await peer.ReceiveAsync(bytes)));
        }

        Assert.StartsWith("GET /v1 HTTP/1.1\r\n", request.ToString(), StringComparison.Ordinal);
        await peer.SendAsync(Encoding.ASCII.GetBytes($"HTTP/1.1 {status}\r\nContent-Length: {body.Length}\r\nConnection: close\r\n\r\n{body}"));
    }
}

using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using KaslrMt.Vms;

namespace KaslrMt.Agent.Tests;

/// <summary>An answer of the agent, as it came.</summary>
internal sealed record ApiAnswer(int Status, string Body)
{
    /// <summary>What the answer says went wrong: its body, or the last line of a long answer.</summary>
    public Problem? Problem => Status == 200
        ? (Body.TrimEnd('\n').Split('\n') is [.., { Length: > 0 } last] ? JsonSerializer.Deserialize(last, ApiJson.Default.AnswerLine)!.Problem : null)
        : JsonSerializer.Deserialize(Body, ApiJson.Default.Problem);

    /// <summary>It failed with that status and error, in one line.</summary>
    public void FailedWith(int status, ErrorCode code)
    {
        Assert.True(Status == status, $"status {Status}: {Body}");
        Assert.Equal(code.ToString(), Problem!.Code);
        Assert.Equal(code.Category, Problem.Category);
        Assert.DoesNotContain('\n', Problem.Message);
        Assert.DoesNotContain("   at ", Problem.Message, StringComparison.Ordinal);
    }
}

/// <summary>Speaks to an agent as any program may: HTTP over its Unix socket.</summary>
internal sealed class AgentApi(string socket) : IDisposable
{
    private readonly HttpClient _http = new(new SocketsHttpHandler
    {
        ConnectCallback = async (_, token) => new NetworkStream(await ConnectAsync(socket, token), ownsSocket: true),
    })
    { BaseAddress = new Uri("http://agent/"), Timeout = TimeSpan.FromMinutes(2) };

    public void Dispose() => _http.Dispose();

    public static async Task<Socket> ConnectAsync(string socket, CancellationToken cancellationToken = default)
    {
        var connection = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await connection.ConnectAsync(new UnixDomainSocketEndPoint(socket), cancellationToken);
        return connection;
    }

    public Task<ApiAnswer> GetAsync(string path) => SendAsync(HttpMethod.Get, path, null);

    public Task<ApiAnswer> PostAsync(string path, string body) => SendAsync(HttpMethod.Post, path, new StringContent(body, Encoding.UTF8, "application/json"));

    public async Task<ApiAnswer> SendAsync(HttpMethod method, string path, HttpContent? content)
    {
        using var request = new HttpRequestMessage(method, path) { Content = content, Version = HttpVersion.Version11 };
        using HttpResponseMessage answer = await _http.SendAsync(request);
        return new((int)answer.StatusCode, await answer.Content.ReadAsStringAsync());
    }

    public Task<ApiAnswer> StartAsync(VmSpec spec) => PostAsync("v1/vms", Specs.Request(spec));

    public async Task<string[]> NamesAsync() =>
        [.. JsonSerializer.Deserialize((await GetAsync("v1/vms")).Body, ApiJson.Default.VmList)!.Vms.Select(vm => vm.Name)];

    /// <summary>Follows what happens on the host.</summary>
    public async Task<EventReader> EventsAsync()
    {
        HttpResponseMessage answer = await _http.GetAsync(new Uri("v1/events", UriKind.Relative), HttpCompletionOption.ResponseHeadersRead);
        return new(answer, new StreamReader(await answer.Content.ReadAsStreamAsync()));
    }
}

/// <summary>Reads events.</summary>
internal sealed class EventReader(HttpResponseMessage answer, StreamReader lines) : IDisposable
{
    public void Dispose()
    {
        lines.Dispose();
        answer.Dispose();
    }

    /// <summary>The next event; null at the stream's end.</summary>
    public async Task<HostEvent?> NextAsync()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        return await lines.ReadLineAsync(patience.Token) is { } line ? JsonSerializer.Deserialize(line, ApiJson.Default.HostEvent) : null;
    }
}

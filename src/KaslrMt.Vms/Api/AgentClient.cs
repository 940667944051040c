using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace KaslrMt.Vms;

/// <summary>A client of the agent's interface: HTTP and JSON over its Unix socket.</summary>
public sealed class AgentClient : IDisposable
{
    // An agent that is alive answers within milliseconds.
    private static readonly TimeSpan ConnectPatience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan AnswerPatience = TimeSpan.FromSeconds(30);

    private readonly HttpClient _http;

    /// <summary>Makes a client; nothing is connected yet.</summary>
    /// <param name="socket">The path of the agent's socket.</param>
    public AgentClient(string socket)
    {
        Socket = socket;
        var handler = new SocketsHttpHandler
        {
            ConnectTimeout = ConnectPatience,
            UseProxy = false,
            UseCookies = false,
            AllowAutoRedirect = false,
            ConnectCallback = async (_, cancellationToken) =>
            {
                var connection = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                try
                {
                    await connection.ConnectAsync(new UnixDomainSocketEndPoint(socket), cancellationToken).ConfigureAwait(false);
                    return new NetworkStream(connection, ownsSocket: true);
                }
                catch
                {
                    connection.Dispose();
                    throw;
                }
            },
        };
        _http = new HttpClient(handler, disposeHandler: true) { BaseAddress = new Uri("http://kaslrmtd/"), Timeout = Timeout.InfiniteTimeSpan };
    }

    /// <summary>Gets the path of the agent's socket.</summary>
    public string Socket { get; }

    /// <summary>Gets what the agent says of itself; null when none answers at the socket.</summary>
    /// <exception cref="KaslrMtException">KMT9023: the agent speaks another version of the interface.</exception>
    public async Task<AgentInfo?> TryConnectAsync(CancellationToken cancellationToken)
    {
        if (!File.Exists(Socket))
        {
            return null;
        }

        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(AnswerPatience);
        try
        {
            AgentInfo info = await GetAsync("v1", ApiJson.Default.AgentInfo, patience.Token).ConfigureAwait(false);
            return info.Api >= AgentSocket.ApiVersion
                ? info
                : throw new KaslrMtException(
                    VmErrors.AgentVersion, $"the agent (process {info.ProcessId}, version {info.Version}) speaks version {info.Api} of the interface, this command {AgentSocket.ApiVersion}", "restart the agent: it is of an earlier version, and its VMs run on");
        }
        catch (HttpRequestException)
        {
            return null;
        }
        catch (KaslrMtException unknown) when (unknown.Code.Number == VmErrors.RequestInvalid.Number)
        {
            // A later agent that serves this version no more.
            throw Garbled(unknown);
        }
        catch (OperationCanceledException slow) when (!cancellationToken.IsCancellationRequested)
        {
            throw new KaslrMtException(
                VmErrors.AgentFailed, $"the agent at {Socket} does not answer within {AnswerPatience.TotalSeconds:0} s", "see its log, and restart it: its VMs run on", slow);
        }
    }

    /// <summary>Gets the VMs that this caller may see.</summary>
    /// <param name="cancellationToken">Gives up.</param>
    public Task<VmList> ListAsync(CancellationToken cancellationToken) => GetAsync("v1/vms", ApiJson.Default.VmList, cancellationToken);

    /// <summary>Gets all about a VM but its secrets.</summary>
    /// <param name="name">The VM.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="KaslrMtException">KMT9006: there is none that this caller may see.</exception>
    public Task<VmInfo> ShowAsync(string name, CancellationToken cancellationToken) => GetAsync($"v1/vms/{name}", ApiJson.Default.VmInfo, cancellationToken);

    /// <summary>Compares a VM's memory with the layout it was given.</summary>
    /// <inheritdoc cref="ShowAsync"/>
    public Task<VerifyReport> VerifyAsync(string name, CancellationToken cancellationToken) =>
        SendAsync(new HttpRequestMessage(HttpMethod.Post, new Uri($"v1/vms/{name}/verify", UriKind.Relative)), ApiJson.Default.VerifyReport, cancellationToken);

    /// <summary>Starts a VM; returns once it runs, and was verified where its specification asks for it.</summary>
    /// <param name="start">The VM.</param>
    /// <param name="lines">Takes the VM's log lines.</param>
    /// <param name="cancellationToken">Gives up, and ends the VM while it starts.</param>
    /// <exception cref="KaslrMtException">The agent refused, or the VM ended before it ran.</exception>
    public Task<AnswerDone> StartAsync(StartRequest start, Action<string> lines, CancellationToken cancellationToken) =>
        OrderAsync("v1/vms", start, ApiJson.Default.StartRequest, lines, cancellationToken);

    /// <summary>Stops a VM; returns once nothing of it is left.</summary>
    /// <inheritdoc cref="MigrateAsync"/>
    public Task<AnswerDone> StopAsync(string name, StopRequest stop, Action<string> lines, CancellationToken cancellationToken) =>
        OrderAsync($"v1/vms/{name}/stop", stop, ApiJson.Default.StopRequest, lines, cancellationToken);

    /// <summary>Saves a VM to a file; returns once the VM is in the file and nothing of it runs.</summary>
    /// <inheritdoc cref="MigrateAsync"/>
    public Task<AnswerDone> SaveAsync(string name, SaveRequest save, Action<string> lines, CancellationToken cancellationToken) =>
        OrderAsync($"v1/vms/{name}/save", save, ApiJson.Default.SaveRequest, lines, cancellationToken);

    /// <summary>Starts a saved VM from its file.</summary>
    /// <inheritdoc cref="MigrateAsync"/>
    public Task<AnswerDone> RestoreAsync(string name, RestoreRequest restore, Action<string> lines, CancellationToken cancellationToken) =>
        OrderAsync($"v1/vms/{name}/restore", restore, ApiJson.Default.RestoreRequest, lines, cancellationToken);

    /// <summary>Moves a VM to another host.</summary>
    /// <param name="name">The VM.</param>
    /// <param name="migrate">What to do.</param>
    /// <param name="lines">Takes log lines.</param>
    /// <param name="cancellationToken">Cancels, if it is not too late.</param>
    /// <exception cref="KaslrMtException">The agent refused or failed; the VM is as it was.</exception>
    public Task<AnswerDone> MigrateAsync(string name, MigrateRequest migrate, Action<string> lines, CancellationToken cancellationToken) =>
        OrderAsync($"v1/vms/{name}/migrate", migrate, ApiJson.Default.MigrateRequest, lines, cancellationToken);

    /// <summary>Awaits a VM from another host; returns once it runs here.</summary>
    /// <inheritdoc cref="MigrateAsync"/>
    public Task<AnswerDone> ReceiveAsync(string name, ReceiveRequest receive, Action<string> lines, CancellationToken cancellationToken) =>
        OrderAsync($"v1/vms/{name}/receive", receive, ApiJson.Default.ReceiveRequest, lines, cancellationToken);

    /// <inheritdoc/>
    public void Dispose() => _http.Dispose();

    private Task<T> GetAsync<T>(string path, JsonTypeInfo<T> type, CancellationToken cancellationToken) =>
        SendAsync(new HttpRequestMessage(HttpMethod.Get, new Uri(path, UriKind.Relative)), type, cancellationToken);

    private async Task<T> SendAsync<T>(HttpRequestMessage request, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        using HttpRequestMessage sent = request;
        using HttpResponseMessage answer = await _http.SendAsync(sent, HttpCompletionOption.ResponseContentRead, cancellationToken).ConfigureAwait(false);
        byte[] body = await answer.Content.ReadAsByteArrayAsync(cancellationToken).ConfigureAwait(false);
        return answer.IsSuccessStatusCode ? Parse(body, type) : throw ProblemOf(answer.StatusCode, body);
    }

    private static T Parse<T>(ReadOnlySpan<byte> body, JsonTypeInfo<T> type)
    {
        try
        {
            return JsonSerializer.Deserialize(body, type) ?? throw Garbled();
        }
        catch (JsonException error)
        {
            throw Garbled(error);
        }
    }

    private async Task<AnswerDone> OrderAsync<T>(string path, T order, JsonTypeInfo<T> type, Action<string> lines, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(path, UriKind.Relative))
        {
            Content = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(order, type)) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } },
        };
        try
        {
            using HttpResponseMessage answer = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken).ConfigureAwait(false);
            using Stream body = await answer.Content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
            if (!answer.IsSuccessStatusCode)
            {
                throw ProblemOf(answer.StatusCode, await answer.Content.ReadAsByteArrayAsync(cancellationToken).ConfigureAwait(false));
            }

            using var reader = new StreamReader(body);
            while (await reader.ReadLineAsync(cancellationToken).ConfigureAwait(false) is { } text)
            {
                AnswerLine line = Parse(Encoding.UTF8.GetBytes(text), ApiJson.Default.AnswerLine);
                if (line.Problem is { } problem)
                {
                    throw problem.ToException();
                }

                if (line.Done is { } done)
                {
                    return done;
                }

                lines(Printable.Of(line.Line, 2000));
            }

            throw Gone(null);
        }
        catch (Exception error) when (error is HttpRequestException or IOException)
        {
            throw Gone(error);
        }
    }

    private static KaslrMtException ProblemOf(HttpStatusCode status, byte[] body)
    {
        try
        {
            return (JsonSerializer.Deserialize(body, ApiJson.Default.Problem) ?? throw new JsonException()).ToException();
        }
        catch (JsonException) when (status == HttpStatusCode.NotFound)
        {
            return Garbled();
        }
        catch (JsonException)
        {
            return new(VmErrors.AgentFailed, $"the agent answered with status {(int)status}", "see the agent's log");
        }
    }

    private KaslrMtException Gone(Exception? cause) =>
        new(VmErrors.AgentFailed, $"the agent at {Socket} ended in the middle", "its VMs run on: list all VMs for where this one is", cause);

    private static KaslrMtException Garbled(Exception? cause = null) => new(
        VmErrors.AgentVersion, $"the agent's answer is not understood: it speaks another version of the interface than this command ({AgentSocket.ApiVersion})", "take command and agent of one version; a restarted agent's VMs run on", cause);
}

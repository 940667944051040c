using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace KaslrMt.Tenants.Etcd;

/// <summary>
/// The part of etcd's v3 API that the table needs, over its JSON gateway (https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/).
/// </summary>
/// <remarks>
/// A request that gets no answer is sent again, to the next endpoint; so a write may arrive twice. All writes here are transactions guarded
/// by revisions, whose second arrival does nothing.
/// </remarks>
internal sealed class EtcdClient : IDisposable
{
    private const int LargestAnswer = 64 << 20;
    private readonly HttpClient _http;
    private readonly EtcdAccess _access;
    private readonly Uri[] _endpoints;
    private volatile string? _token;
    private int _current;
    private int _streams;
    private long _calls;

    internal EtcdClient(EtcdLocation location, EtcdAccess access)
    {
        (_access, _endpoints) = (access, [.. location.Endpoints]);
        var handler = new SocketsHttpHandler
        {
            SslOptions = EtcdTls.Options(access),
            ConnectTimeout = access.RequestTimeout,
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
            UseProxy = false,
            AllowAutoRedirect = false,
        };
        _http = new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan, MaxResponseContentBufferSize = LargestAnswer };

        // Hosts of a cluster begin at different members.
        _current = RandomNumberGenerator.GetInt32(_endpoints.Length);
        _streams = _current;
    }

    /// <summary>Round trips so far.</summary>
    internal long Calls => Interlocked.Read(ref _calls);

    internal IReadOnlyList<Uri> Endpoints => _endpoints;

    public void Dispose() => _http.Dispose();

    /// <summary>Calls the API at whichever endpoint answers.</summary>
    /// <exception cref="EtcdFault">etcd answered with an error that another endpoint would answer, too.</exception>
    /// <exception cref="KaslrMtException">4040–4042: no endpoint answered in time, or the password was refused.</exception>
    internal async Task<JsonElement> CallAsync(string path, JsonObject request, CancellationToken cancel)
    {
        long deadline = Environment.TickCount64 + (long)_access.Patience.TotalMilliseconds;
        Exception? cause = null;
        for (int attempt = 0; attempt == 0 || Environment.TickCount64 < deadline; attempt++)
        {
            if (attempt > 0 && attempt % _endpoints.Length == 0)
            {
                await Task.Delay(RandomNumberGenerator.GetInt32(50, 300), cancel).ConfigureAwait(false);
            }

            int index = Volatile.Read(ref _current);
            try
            {
                return await CallAsync(_endpoints[index], path, request, _access.RequestTimeout, cancel).ConfigureAwait(false);
            }
            catch (EtcdFault fault) when (fault.Status is EtcdStatus.Unavailable or EtcdStatus.DeadlineExceeded)
            {
                cause = fault;
            }
            catch (Exception e) when (e is HttpRequestException or IOException || (e is OperationCanceledException && !cancel.IsCancellationRequested))
            {
                cause = e;
            }

            Interlocked.CompareExchange(ref _current, (index + 1) % _endpoints.Length, index);
        }

        throw cause is HttpRequestException or IOException && await EtcdTls.ExplainAsync(_endpoints[Volatile.Read(ref _current)], _access, cancel).ConfigureAwait(false) is { } tls
            ? EtcdFault.NoTls(tls, cause)
            : EtcdFault.Unreachable(_endpoints, cause);
    }

    /// <summary>Calls the API at one endpoint.</summary>
    internal async Task<JsonElement> CallAsync(Uri endpoint, string path, JsonObject request, TimeSpan timeout, CancellationToken cancel)
    {
        using var limited = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limited.CancelAfter(timeout);
        string? used = await TokenAsync(endpoint, limited.Token).ConfigureAwait(false);
        try
        {
            return await SendAsync(endpoint, path, request, used, limited.Token).ConfigureAwait(false);
        }
        catch (EtcdFault fault) when (fault.Status == EtcdStatus.Unauthenticated && used is not null)
        {
            // Tokens end after a time, and with the member that gave them.
            _token = null;
            return await SendAsync(endpoint, path, request, await TokenAsync(endpoint, limited.Token).ConfigureAwait(false), limited.Token).ConfigureAwait(false);
        }
    }

    /// <summary>Opens a stream of answers; each call uses the next endpoint, since a member that is cut off keeps a stream open and silent.</summary>
    internal async Task<HttpResponseMessage> StreamAsync(string path, JsonObject request, CancellationToken cancel)
    {
        Uri endpoint = _endpoints[(Interlocked.Increment(ref _streams) & int.MaxValue) % _endpoints.Length];
        using HttpRequestMessage message = Message(endpoint, path, request, await TokenAsync(endpoint, cancel).ConfigureAwait(false));
        HttpResponseMessage response = await _http.SendAsync(message, HttpCompletionOption.ResponseHeadersRead, cancel).ConfigureAwait(false);
        if (response.IsSuccessStatusCode)
        {
            return response;
        }

        // The token may have ended: the next attempt gets a new one.
        _token = null;
        response.Dispose();
        throw new HttpRequestException($"{endpoint.Authority} refused the stream", null, response.StatusCode);
    }

    /// <summary>What an answer's error says, or null when it is a result.</summary>
    internal static EtcdFault? FaultIn(JsonElement answer)
    {
        JsonElement error = answer.ValueKind == JsonValueKind.Object && answer.TryGetProperty("error", out JsonElement found) ? found : default;
        JsonElement source = error.ValueKind == JsonValueKind.Object ? error : answer;
        if (error.ValueKind == JsonValueKind.Undefined)
        {
            return null;
        }

        int status = source.TryGetProperty("code", out JsonElement code) || source.TryGetProperty("grpc_code", out code) ? code.GetInt32() : -1;
        string message = error.ValueKind == JsonValueKind.String ? error.GetString()! : source.TryGetProperty("message", out JsonElement text) ? text.GetString()! : "no words";
        return new EtcdFault(status, string.Concat(message.Take(200).Where(c => !char.IsControl(c))));
    }

    private static HttpRequestMessage Message(Uri endpoint, string path, JsonObject request, string? token)
    {
        var message = new HttpRequestMessage(HttpMethod.Post, new Uri(endpoint, path))
        {
            Content = new StringContent(request.ToJsonString(), Encoding.UTF8, "application/json"),
        };
        if (token is not null)
        {
            message.Headers.Authorization = new AuthenticationHeaderValue(token);
        }

        return message;
    }

    private async Task<JsonElement> SendAsync(Uri endpoint, string path, JsonObject request, string? token, CancellationToken cancel)
    {
        Interlocked.Increment(ref _calls);
        using HttpRequestMessage message = Message(endpoint, path, request, token);
        using HttpResponseMessage response = await _http.SendAsync(message, cancel).ConfigureAwait(false);
        byte[] body = await response.Content.ReadAsByteArrayAsync(cancel).ConfigureAwait(false);
        try
        {
            using var document = JsonDocument.Parse(body);
            return FaultIn(document.RootElement) is { } fault ? throw fault : document.RootElement.Clone();
        }
        catch (JsonException e)
        {
            // A proxy's page, or a member that is going down: another endpoint may know better.
            throw new HttpRequestException($"{endpoint.Authority} answered HTTP {(int)response.StatusCode} and no JSON", e, response.StatusCode);
        }
    }

    private async Task<string?> TokenAsync(Uri endpoint, CancellationToken cancel)
    {
        if (_access.User is not { } user || _token is { } known)
        {
            return _token;
        }

        string password;
        try
        {
            if (_access.PasswordFile is { } secret)
            {
                EtcdSecret.RequirePrivate(secret, TenantErrors.EtcdDenied, "password file for etcd");
            }

            password = _access.PasswordFile is { } file ? (await File.ReadAllTextAsync(file, cancel).ConfigureAwait(false)).TrimEnd('\r', '\n') : "";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(TenantErrors.EtcdDenied, $"the password file for etcd cannot be read ({e.Message})", "check the configured file", e);
        }

        try
        {
            JsonElement answer = await SendAsync(
                endpoint, "/v3/auth/authenticate", new JsonObject { ["name"] = user, ["password"] = password }, null, cancel).ConfigureAwait(false);
            return _token = answer.GetProperty("token").GetString();
        }
        catch (EtcdFault fault) when (fault.Status is EtcdStatus.InvalidArgument or EtcdStatus.FailedPrecondition or EtcdStatus.PermissionDenied)
        {
            throw fault.ToException();
        }
    }
}

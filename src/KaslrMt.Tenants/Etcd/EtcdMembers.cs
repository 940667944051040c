using System.Security.Cryptography;
using Grpc.Core;

namespace KaslrMt.Tenants.Etcd;

/// <summary>The members of a cluster, of which any one answers a call.</summary>
/// <remarks>
/// A call that gets no answer is sent again, to the next member; so a write may arrive twice. All writes here are transactions guarded
/// by revisions, whose second arrival does nothing.
/// </remarks>
internal sealed class EtcdMembers : IDisposable
{
    // etcd closes a connection that is asked more often than every 5 s (--grpc-keepalive-min-time).
    private static readonly TimeSpan PingDelay = TimeSpan.FromSeconds(10);

    // Asks a member that has lost the others to say so at once, in place of waiting for them (etcd's rpctypes, MetadataRequireLeaderKey).
    private static readonly Metadata.Entry WithLeader = new("hasleader", "true");

    private readonly HttpClient _http;
    private readonly EtcdAccess _access;
    private readonly EtcdLogin _login;
    private readonly EtcdMember[] _members;
    private int _current;
    private int _streams;
    private long _calls;

    /// <exception cref="KaslrMtException"><see cref="TenantErrors.EtcdTls"/>.</exception>
    internal EtcdMembers(EtcdLocation location, EtcdAccess access)
    {
        var handler = new SocketsHttpHandler
        {
            SslOptions = EtcdTls.Options(access),
            ConnectTimeout = access.RequestTimeout,
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
            EnableMultipleHttp2Connections = true,

            // A connection whose other end went away without a word is given up, for new calls to get a new one.
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
            KeepAlivePingDelay = PingDelay,
            KeepAlivePingTimeout = access.RequestTimeout,
            UseProxy = false,
            AllowAutoRedirect = false,
        };
        _http = new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan };
        _members = [.. location.Endpoints.Select(endpoint => new EtcdMember(endpoint, _http))];
        (_access, _login) = (access, new EtcdLogin(access));

        // Hosts of a cluster begin at different members.
        _current = RandomNumberGenerator.GetInt32(_members.Length);
        _streams = _current;
    }

    /// <summary>Gets how many calls were sent so far.</summary>
    internal long Calls => Interlocked.Read(ref _calls);

    internal IReadOnlyList<EtcdMember> All => _members;

    public void Dispose()
    {
        Array.ForEach(_members, member => member.Dispose());
        _http.Dispose();
    }

    /// <summary>Calls the member that answered last, and the others in turn while none answers.</summary>
    /// <exception cref="EtcdFault">etcd answered with an error that another member would answer, too.</exception>
    /// <exception cref="KaslrMtException">4040 to 4042: no member answered in time, or the password was refused.</exception>
    internal async Task<T> CallAsync<T>(Func<EtcdMember, CallOptions, Task<T>> call, CancellationToken cancellationToken)
    {
        long deadline = Environment.TickCount64 + (long)_access.Patience.TotalMilliseconds;
        EtcdFault? cause = null;
        for (int attempt = 0; attempt == 0 || Environment.TickCount64 < deadline; attempt++)
        {
            if (attempt > 0 && attempt % _members.Length == 0)
            {
                await Task.Delay(RandomNumberGenerator.GetInt32(50, 300), cancellationToken).ConfigureAwait(false);
            }

            int index = Volatile.Read(ref _current);
            try
            {
                return await CallAsync(_members[index], call, _access.RequestTimeout, [WithLeader], cancellationToken).ConfigureAwait(false);
            }
            catch (EtcdFault fault) when (fault.IsPassing)
            {
                cause = fault;
            }

            Interlocked.CompareExchange(ref _current, (index + 1) % _members.Length, index);
        }

        throw await ExplainAsync(cause!, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Calls one member, once.</summary>
    /// <exception cref="EtcdFault">It answered with an error, or not in time.</exception>
    internal Task<T> CallAsync<T>(EtcdMember member, Func<EtcdMember, CallOptions, Task<T>> call, TimeSpan timeout, CancellationToken cancellationToken) =>
        CallAsync(member, call, timeout, [], cancellationToken);

    /// <summary>Opens a stream at the next member: each stream uses another, since a member that is cut off keeps one open and silent.</summary>
    /// <exception cref="EtcdFault">The login failed at this member.</exception>
    internal async Task<T> StreamAsync<T>(Func<EtcdMember, CallOptions, T> open, CancellationToken cancellationToken)
    {
        EtcdMember member = _members[(Interlocked.Increment(ref _streams) & int.MaxValue) % _members.Length];
        DateTime deadline = DateTime.UtcNow + _access.RequestTimeout;
        string? token = await EtcdFault.GuardAsync(() => TokenAsync(member, deadline, cancellationToken), cancellationToken).ConfigureAwait(false);
        return open(member, Options(token, [WithLeader], null, cancellationToken));
    }

    /// <summary>Makes the next call log in anew: a stream does not tell what was wrong with its token.</summary>
    internal void ForgetToken() => _login.Forget();

    private static CallOptions Options(string? token, Metadata.Entry[] further, DateTime? deadline, CancellationToken cancellationToken)
    {
        Metadata headers = [.. further];
        if (token is not null)
        {
            headers.Add("token", token);
        }

        return new CallOptions(headers, deadline, cancellationToken);
    }

    private async Task<T> CallAsync<T>(
        EtcdMember member, Func<EtcdMember, CallOptions, Task<T>> call, TimeSpan timeout, Metadata.Entry[] further, CancellationToken cancellationToken)
    {
        DateTime deadline = DateTime.UtcNow + timeout;
        string? used = null;
        try
        {
            return await EtcdFault.GuardAsync(SendAsync, cancellationToken).ConfigureAwait(false);
        }
        catch (EtcdFault fault) when (fault.Status == StatusCode.Unauthenticated && used is not null)
        {
            // Tokens end after a time, and with the member that gave them.
            _login.Forget();
            return await EtcdFault.GuardAsync(SendAsync, cancellationToken).ConfigureAwait(false);
        }

        async Task<T> SendAsync()
        {
            used = await TokenAsync(member, deadline, cancellationToken).ConfigureAwait(false);
            Interlocked.Increment(ref _calls);
            return await call(member, Options(used, further, deadline, cancellationToken)).ConfigureAwait(false);
        }
    }

    private Task<string?> TokenAsync(EtcdMember member, DateTime deadline, CancellationToken cancellationToken)
    {
        if (!_login.IsNeeded)
        {
            return Task.FromResult(_login.Token);
        }

        Interlocked.Increment(ref _calls);
        return _login.RenewAsync(member, Options(null, [], deadline, cancellationToken));
    }

    private async Task<KaslrMtException> ExplainAsync(EtcdFault cause, CancellationToken cancellationToken)
    {
        Uri endpoint = _members[Volatile.Read(ref _current)].Endpoint;
        return cause.IsBroken && await EtcdTls.ExplainAsync(endpoint, _access, cancellationToken).ConfigureAwait(false) is { } problem
            ? EtcdFault.Tls(problem, cause)
            : cause.ToUnreachable(_members.Select(member => member.Endpoint));
    }
}

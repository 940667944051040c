using System.Net.Sockets;
using System.Security.Authentication;
using Google.Protobuf;
using Grpc.Core;

namespace KaslrMt.Tenants.Etcd;

/// <summary>An error in place of an answer: etcd's own, or that of the connection to it.</summary>
internal sealed class EtcdFault : Exception
{
    private const int LongestMessage = 200;
    private readonly bool _isMalformed;

    internal EtcdFault(RpcException error)
        : this(error.StatusCode, error.Status.Detail, error, error.InnerException)
    {
    }

    // A stream whose connection breaks while a message is written: gRPC's client hands on whatever the connection threw.
    private EtcdFault(Exception error)
        : this(StatusCode.Unavailable, error.Message, error, error) =>
        IsBroken = true;

    private EtcdFault(StatusCode status, string words, Exception error, Exception? first)
        : base(Printable(words), error)
    {
        Status = status;
        for (Exception? cause = first; cause is not null; cause = cause.InnerException)
        {
            // An InvalidProtocolBufferException is an IOException too, and gRPC takes it for one.
            _isMalformed |= cause is InvalidProtocolBufferException;
            IsBroken |= cause is HttpRequestException or IOException or SocketException or AuthenticationException;
        }

        IsBroken &= !_isMalformed;
    }

    /// <summary>Gets gRPC's status (google.golang.org/grpc/codes).</summary>
    internal StatusCode Status { get; }

    /// <summary>Gets whether the connection failed, so that nothing is known of etcd.</summary>
    internal bool IsBroken { get; }

    /// <summary>Gets whether another member, or the same one later, may answer.</summary>
    internal bool IsPassing => !_isMalformed && (IsBroken || IsLate || IsBusy || IsPage || Status is StatusCode.Unavailable or StatusCode.Cancelled);

    // gRPC's client says so of an answer over HTTP that is not gRPC: a proxy's page, in place of a member that is away.
    private bool IsPage => Message.StartsWith("Bad gRPC response", StringComparison.Ordinal);

    // A member that cannot reach the others gives up when the caller's deadline has passed, and says so without a status.
    private bool IsLate => Status == StatusCode.DeadlineExceeded || (Status == StatusCode.Unknown && Message == "context deadline exceeded");

    // ErrTooManyRequests has the status of a full database.
    private bool IsBusy => Status == StatusCode.ResourceExhausted && Message.Contains("too many requests", StringComparison.Ordinal);

    private bool IsFull => Status == StatusCode.ResourceExhausted && Message.Contains("database space exceeded", StringComparison.Ordinal);

    /// <summary>Runs a call and makes faults of gRPC's exceptions. The caller's own cancellation goes through as .NET's.</summary>
    /// <exception cref="EtcdFault">The call failed.</exception>
    /// <exception cref="OperationCanceledException">The caller gave up.</exception>
    internal static async Task<T> GuardAsync<T>(Func<Task<T>> call, CancellationToken cancellationToken)
    {
        try
        {
            return await call().ConfigureAwait(false);
        }
        catch (RpcException error)
        {
            cancellationToken.ThrowIfCancellationRequested();
            throw new EtcdFault(error);
        }
    }

    /// <summary>Runs a step of a stream, as <see cref="GuardAsync"/> does a call: what a broken connection throws while a message is written becomes a fault, too.</summary>
    /// <inheritdoc cref="GuardAsync"/>
    internal static Task<T> GuardStreamAsync<T>(Func<Task<T>> step, CancellationToken cancellationToken) => GuardAsync(
        async () =>
        {
            try
            {
                return await step().ConfigureAwait(false);
            }
            catch (Exception error) when (IsOfConnection(error))
            {
                cancellationToken.ThrowIfCancellationRequested();
                throw new EtcdFault(error);
            }
        },
        cancellationToken);

    // An InvalidOperationException is gRPC's own of a call that has ended meanwhile; of a stream that was closed it is an ObjectDisposedException. A
    // cancellation that the caller did not ask for is the call's deadline, or the connection's end.
    private static bool IsOfConnection(Exception error) =>
        error is IOException or HttpRequestException or SocketException or InvalidOperationException or OperationCanceledException;

    /// <summary>Returns the error for an answer that etcd would not give.</summary>
    internal static KaslrMtException NotEtcd(string found, Exception? cause = null) => new(
        TenantErrors.EtcdAnswer, $"an endpoint's answer is not etcd's ({found})", "check that the endpoints are etcd 3.4 or newer", cause);

    internal static KaslrMtException Tls(string problem, Exception cause) => new(
        TenantErrors.EtcdTls,
        $"TLS to etcd failed ({problem})",
        "check the authority, this host's certificate and key, and the names in the servers' certificates",
        cause);

    /// <summary>Returns the error for a cluster of which no member answered, this fault being the last.</summary>
    internal KaslrMtException ToUnreachable(IEnumerable<Uri> endpoints)
    {
        for (Exception? cause = InnerException; cause is not null; cause = cause.InnerException)
        {
            if (cause is AuthenticationException)
            {
                return Tls(Printable(cause.Message), this);
            }
        }

        string reason = IsLate ? "no answer in time" : IsBroken ? Printable(GetBaseException().Message) : Message;
        return new KaslrMtException(
            TenantErrors.EtcdUnreachable,
            $"no etcd endpoint of {string.Join(", ", endpoints.Select(endpoint => endpoint.Authority))} could answer ({reason})",
            "check the network and that most members are up; running VMs run on, and nothing was lost",
            this);
    }

    /// <summary>Returns the numbered error for what etcd answered.</summary>
    internal KaslrMtException ToException() => Status switch
    {
        _ when IsFull => new KaslrMtException(
            TenantErrors.EtcdFull,
            $"etcd takes no writes ({Message})",
            "compact and defragment it, raise --quota-backend-bytes, then 'etcdctl alarm disarm'; nothing was lost",
            this),
        // etcd's maintenance calls answer so (server/auth's ErrPermissionDenied, which has no status of its own).
        StatusCode.Unknown when Message.StartsWith("auth: permission denied", StringComparison.Ordinal) => new KaslrMtException(
            TenantErrors.EtcdDenied, "etcd lets only its administrators defragment", "let one of etcd's root role do it ('etcdctl defrag'); nothing was lost", this),
        StatusCode.PermissionDenied or StatusCode.Unauthenticated or StatusCode.FailedPrecondition or StatusCode.InvalidArgument => new KaslrMtException(
            TenantErrors.EtcdDenied, $"etcd refused this host ({Message})", "check the user, the password file, and that the role may read and write the prefix", this),
        _ => NotEtcd($"status {Status}: {Message}", this),
    };

    // The words come over the network: no terminal control, and no page of them.
    private static string Printable(string words) => string.Concat(words.Take(LongestMessage).Where(c => !char.IsControl(c)));
}

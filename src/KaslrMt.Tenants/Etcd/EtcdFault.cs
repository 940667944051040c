using System.Globalization;
using System.Security.Authentication;

namespace KaslrMt.Tenants.Etcd;

/// <summary>What etcd answered instead of a result.</summary>
/// <param name="status">gRPC's status code, see <see cref="EtcdStatus"/>.</param>
/// <param name="message">Its words, without control characters.</param>
internal sealed class EtcdFault(int status, string message) : Exception(message)
{
    internal int Status => status;

    internal static KaslrMtException Unreachable(IEnumerable<Uri> endpoints, Exception? cause) =>
        Tls(cause) is { } tls
            ? NoTls(tls.Message, cause)
            : new KaslrMtException(
                TenantErrors.EtcdUnreachable,
                $"no etcd endpoint of {string.Join(", ", endpoints.Select(endpoint => endpoint.Authority))} could answer ({Innermost(cause)})",
                "check the network and that most members are up; running VMs run on, and nothing was lost",
                cause);

    internal static KaslrMtException NoTls(string problem, Exception? cause) => new(
        TenantErrors.EtcdTls,
        $"TLS to etcd failed ({problem})",
        "check the authority, this host's certificate and key, and the names in the servers' certificates",
        cause);

    internal KaslrMtException ToException() => status switch
    {
        EtcdStatus.ResourceExhausted => new KaslrMtException(
            TenantErrors.EtcdFull,
            $"etcd takes no writes ({Message})",
            "compact and defragment it ('kaslrmt store check --scrub' does), raise --quota-backend-bytes, then 'etcdctl alarm disarm'; nothing was lost",
            this),
        // What etcd's maintenance calls answer (server/auth's ErrPermissionDenied, which has no status of its own).
        EtcdStatus.Unknown when Message.StartsWith("auth: permission denied", StringComparison.Ordinal) => new KaslrMtException(
            TenantErrors.EtcdDenied, "etcd lets only its administrators defragment", "let one of etcd's root role do it ('etcdctl defrag'); nothing was lost", this),
        EtcdStatus.PermissionDenied or EtcdStatus.Unauthenticated or EtcdStatus.FailedPrecondition or EtcdStatus.InvalidArgument => new KaslrMtException(
            TenantErrors.EtcdDenied, $"etcd refused this host ({Message})", "check the user, the password file, and that the role may read and write the prefix", this),
        _ => new KaslrMtException(
            TenantErrors.EtcdAnswer,
            string.Create(CultureInfo.InvariantCulture, $"etcd answered with status {status} ({Message})"),
            "check that the endpoints are etcd 3.4 or newer with its JSON gateway on",
            this),
    };

    private static AuthenticationException? Tls(Exception? cause)
    {
        for (; cause is not null; cause = cause.InnerException)
        {
            if (cause is AuthenticationException found)
            {
                return found;
            }
        }

        return null;
    }

    private static string Innermost(Exception? cause) => cause is OperationCanceledException ? "no answer in time" : cause?.GetBaseException().Message ?? "none tried";
}

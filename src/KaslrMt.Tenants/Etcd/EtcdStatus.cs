namespace KaslrMt.Tenants.Etcd;

/// <summary>gRPC's status codes as etcd's gateway reports them in <c>code</c> (google.golang.org/grpc/codes).</summary>
internal static class EtcdStatus
{
    internal const int Unknown = 2;
    internal const int InvalidArgument = 3;
    internal const int DeadlineExceeded = 4;
    internal const int NotFound = 5;
    internal const int PermissionDenied = 7;
    internal const int ResourceExhausted = 8;
    internal const int FailedPrecondition = 9;
    internal const int OutOfRange = 11;
    internal const int Unavailable = 14;
    internal const int Unauthenticated = 16;
}

namespace KaslrMt.Tenants.Etcd;

/// <summary>An etcd cluster, and the table's place in it.</summary>
/// <param name="Endpoints">Its members' client addresses.</param>
/// <param name="Prefix">The beginning of all the table's keys, without a slash at its end.</param>
public sealed record EtcdLocation(IReadOnlyList<Uri> Endpoints, string Prefix)
{
    private const string Plain = "etcd://";
    private const string Tls = "etcds://";
    private const string DefaultPrefix = "/kaslrmt";

    /// <summary>Returns whether a location is one of etcd's.</summary>
    public static bool IsOne(string location)
    {
        ArgumentNullException.ThrowIfNull(location);
        return location.StartsWith(Plain, StringComparison.Ordinal) || location.StartsWith(Tls, StringComparison.Ordinal);
    }

    /// <summary>Reads <c>etcd://HOST:PORT,HOST:PORT/PREFIX</c>, or <c>etcds://</c> for TLS; without a prefix it is <c>/kaslrmt</c>.</summary>
    /// <exception cref="KaslrMtException"><see cref="TenantErrors.LocationInvalid"/>.</exception>
    public static EtcdLocation Parse(string location)
    {
        ArgumentNullException.ThrowIfNull(location);
        bool tls = location.StartsWith(Tls, StringComparison.Ordinal);
        string rest = location[(tls ? Tls.Length : Plain.Length)..];
        int slash = rest.IndexOf('/', StringComparison.Ordinal);
        string hosts = slash < 0 ? rest : rest[..slash];
        string prefix = slash < 0 ? "" : rest[slash..].TrimEnd('/');
        List<Uri> endpoints = [];
        foreach (string host in hosts.Split(','))
        {
            if (host.Contains('@', StringComparison.Ordinal)
                || !Uri.TryCreate($"{(tls ? "https" : "http")}://{host}", UriKind.Absolute, out Uri? endpoint)
                || endpoint.Host.Length == 0 || endpoint.AbsolutePath != "/")
            {
                throw new KaslrMtException(
                    TenantErrors.LocationInvalid,
                    "the etcd location is not understood",
                    "give etcd://HOST:PORT,HOST:PORT/PREFIX (etcds:// for TLS); user and password belong in the configuration");
            }

            endpoints.Add(host.Contains(':', StringComparison.Ordinal) ? endpoint : new UriBuilder(endpoint) { Port = 2379 }.Uri);
        }

        return new EtcdLocation(endpoints, prefix.Length > 0 ? prefix : DefaultPrefix);
    }

    /// <inheritdoc/>
    public override string ToString() =>
        $"{(Endpoints[0].Scheme == "https" ? Tls : Plain)}{string.Join(',', Endpoints.Select(endpoint => endpoint.Authority))}{Prefix}";
}

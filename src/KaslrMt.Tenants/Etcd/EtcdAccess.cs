namespace KaslrMt.Tenants.Etcd;

/// <summary>How a host gets into etcd, besides the location. Secrets are in files, never in the location or argv.</summary>
public sealed record EtcdAccess
{
    /// <summary>The PEM file of the authorities that sign the servers' certificates; null is the system's.</summary>
    public string? AuthorityFile { get; init; }

    /// <summary>The PEM file of this host's certificate, or null.</summary>
    public string? CertificateFile { get; init; }

    /// <summary>The PEM file of its private key.</summary>
    public string? CertificateKeyFile { get; init; }

    /// <summary>The user, or null.</summary>
    public string? User { get; init; }

    /// <summary>The file that holds the user's password.</summary>
    public string? PasswordFile { get; init; }

    /// <summary>
    /// Whether purging a key also compacts etcd's history, where the sealed key still is. On by default; turn it off in an etcd shared with programs that
    /// need their history.
    /// </summary>
    public bool CompactAfterPurge { get; init; } = true;

    /// <summary>How long one request may take before another endpoint is tried.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>How long a change is tried, over all endpoints.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>How long a watch may be silent before it is taken up at another endpoint, from where it was.</summary>
    public TimeSpan WatchSilence { get; init; } = TimeSpan.FromSeconds(20);
}

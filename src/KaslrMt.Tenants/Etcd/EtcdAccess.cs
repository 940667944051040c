namespace KaslrMt.Tenants.Etcd;

/// <summary>A host's access to etcd, besides the location. Secrets are in files, never in the location or argv.</summary>
public sealed record EtcdAccess
{
    /// <summary>Gets the PEM file of the authorities that sign the servers' certificates; null for the system's authorities.</summary>
    public string? AuthorityFile { get; init; }

    /// <summary>Gets the PEM file of this host's certificate, or null.</summary>
    public string? CertificateFile { get; init; }

    /// <summary>Gets the PEM file of the certificate's private key, which no other user may read; null where the certificate's file holds it.</summary>
    public string? CertificateKeyFile { get; init; }

    /// <summary>Gets the user, or null.</summary>
    public string? User { get; init; }

    /// <summary>Gets the file that holds the user's password, which no other user may read.</summary>
    public string? PasswordFile { get; init; }

    /// <summary>
    /// Gets whether purging a key also compacts etcd's history, where the sealed key still is. On by default; turn it off in an etcd shared with programs that
    /// need their history.
    /// </summary>
    public bool CompactAfterPurge { get; init; } = true;

    /// <summary>Gets how long one request may take before another endpoint is tried.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>Gets how long a change is tried, over all endpoints.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>Gets how long a watch may be silent before it is taken up at another endpoint, from where it was.</summary>
    public TimeSpan WatchSilence { get; init; } = TimeSpan.FromSeconds(20);
}

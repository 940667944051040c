using KaslrMt.Tenants.Etcd;

namespace KaslrMt.Tenants;

/// <summary>The place of the table, and how this host takes part in it.</summary>
public sealed record TableSettings
{
    /// <summary>The time for which a host counts as alive after its last sign of life.</summary>
    public static readonly TimeSpan DefaultLease = TimeSpan.FromSeconds(30);

    /// <summary>Gets the store's location: <c>sqlite:PATH</c> or <c>etcd://HOST:PORT,HOST:PORT/PREFIX</c> (<c>etcds://</c> for TLS); null is <c>tenants.db</c> in the state directory.</summary>
    public string? Store { get; init; }

    /// <summary>Gets this host's state directory.</summary>
    public string StateDirectory { get; init; } = Tenants.StateDirectory.Find();

    /// <summary>Gets the file of key-encryption keys, or null for the usual places (<see cref="KeyRingFile.Find"/>).</summary>
    public string? KeyFile { get; init; }

    /// <summary>Gets the access to etcd, where etcd is the store.</summary>
    public EtcdAccess Etcd { get; init; } = new();

    /// <summary>Gets how long this host counts as alive after its last sign of life; at least 5 seconds.</summary>
    public TimeSpan Lease { get; init; } = DefaultLease;
}

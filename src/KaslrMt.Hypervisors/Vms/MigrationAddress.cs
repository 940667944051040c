using System.Globalization;

namespace KaslrMt.Hypervisors;

/// <summary>Where a migrating guest goes, in QEMU's words. Commands (<c>exec:</c>) and descriptors are not among them.</summary>
/// <remarks>
/// QEMU encrypts nothing here: over TCP the guest's memory, its layout with it, is readable on the wire. Use a network of the hosts' own, or a
/// Unix socket at each end of a tunnel.
/// </remarks>
public sealed record MigrationAddress
{
    private MigrationAddress(string uri) => Uri = uri;

    /// <summary>QEMU's spelling (<c>qapi/migration.json</c>, <c>migrate</c>).</summary>
    public string Uri { get; }

    /// <summary>A Unix socket, which the destination makes in a folder that exists.</summary>
    /// <param name="path">At most 107 bytes.</param>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.SettingInvalid"/> when it is longer.</exception>
    public static MigrationAddress Unix(string path) => System.Text.Encoding.UTF8.GetByteCount(path) <= 107
        ? new($"unix:{Path.GetFullPath(path)}")
        : throw new KaslrMtException(HypervisorErrors.SettingInvalid, $"a socket's path has at most 107 bytes, not as {path}", "take a shorter folder");

    /// <summary>A TCP port.</summary>
    /// <param name="host">A name or address; an IPv6 address in brackets.</param>
    /// <param name="port">1 to 65535.</param>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.SettingInvalid"/> when the host holds other characters.</exception>
    public static MigrationAddress Tcp(string host, int port) =>
        port is > 0 and < 65536 && host.Length is > 0 and < 256 && host.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or ':' or '[' or ']')
            ? new(string.Create(CultureInfo.InvariantCulture, $"tcp:{host}:{port}"))
            : throw new KaslrMtException(HypervisorErrors.SettingInvalid, $"'{Printable.Of(host, 80)}', port {port}, is no address to migrate to");

    /// <inheritdoc/>
    public override string ToString() => Uri;
}

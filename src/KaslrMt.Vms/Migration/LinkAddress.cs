using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace KaslrMt.Vms;

/// <summary>Where two supervisors meet: <c>HOST:PORT</c> (also <c>tcp:HOST:PORT</c>) or <c>unix:PATH</c>.</summary>
internal sealed record LinkAddress
{
    private LinkAddress(string? path, string? host, int port) => (Path, Host, Port) = (path, host, port);

    /// <summary>The socket's path; null for TCP.</summary>
    public string? Path { get; }

    private string? Host { get; }

    private int Port { get; }

    /// <summary>Reads an address.</summary>
    /// <param name="text">As the command line has it.</param>
    /// <param name="option">Which option it is of.</param>
    /// <exception cref="KaslrMtException">KMT9001: it is none.</exception>
    public static LinkAddress Parse(string text, string option)
    {
        if (text.StartsWith("unix:", StringComparison.Ordinal))
        {
            string path = System.IO.Path.GetFullPath(text["unix:".Length..] is { Length: > 0 } given ? given : throw Wrong(text, option));
            return Encoding.UTF8.GetByteCount(path) <= 107 ? new LinkAddress(path, null, 0) : throw Wrong(text, option);
        }

        string rest = text.StartsWith("tcp:", StringComparison.Ordinal) ? text["tcp:".Length..] : text;
        int colon = rest.LastIndexOf(':');
        string host = colon < 0 ? "" : rest[..colon];
        bool bracketed = host is ['[', .., ']'];
        host = bracketed ? host[1..^1] : host;
        return colon >= 0 && host.Length is > 0 and < 256 && (bracketed || !host.Contains(':', StringComparison.Ordinal))
            && int.TryParse(rest.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int port) && port is > 0 and < 65536
            ? new LinkAddress(null, host, port)
            : throw Wrong(text, option);
    }

    /// <summary>Listens there.</summary>
    /// <exception cref="KaslrMtException">KMT9018.</exception>
    public async Task<Socket> ListenAsync(CancellationToken cancellationToken)
    {
        try
        {
            EndPoint place = await EndPointAsync(cancellationToken).ConfigureAwait(false);
            var socket = new Socket(place.AddressFamily, SocketType.Stream, ProtocolType.Unspecified);
            socket.Bind(place);
            if (Path is not null)
            {
                File.SetUnixFileMode(Path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            }

            socket.Listen(MigrationListener.Most);
            return socket;
        }
        catch (Exception error) when (error is SocketException or IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(VmErrors.Link, $"cannot listen at {this} ({error.Message})", "give an address of this host and a free port, or unix:PATH of a new file", error);
        }
    }

    /// <summary>Connects to it.</summary>
    /// <exception cref="KaslrMtException">KMT9018.</exception>
    public async Task<Stream> ConnectAsync(CancellationToken cancellationToken)
    {
        try
        {
            EndPoint place = await EndPointAsync(cancellationToken).ConfigureAwait(false);
            var socket = new Socket(place.AddressFamily, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await socket.ConnectAsync(place, cancellationToken).ConfigureAwait(false);
                return new NetworkStream(socket, ownsSocket: true);
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        }
        catch (SocketException error)
        {
            throw new KaslrMtException(VmErrors.Link, $"nobody awaits the VM at {this} ({error.Message})", "the other host must await the VM there", error);
        }
    }

    /// <summary>As it is written.</summary>
    public override string ToString() => Path is not null ? $"unix:{Path}"
        : string.Create(CultureInfo.InvariantCulture, $"{(Host!.Contains(':', StringComparison.Ordinal) ? $"[{Host}]" : Host)}:{Port}");

    private async Task<EndPoint> EndPointAsync(CancellationToken cancellationToken) => Path is not null
        ? new UnixDomainSocketEndPoint(Path)
        : new IPEndPoint((await Dns.GetHostAddressesAsync(Host!, cancellationToken).ConfigureAwait(false)).First(), Port);

    private static KaslrMtException Wrong(string text, string option) => new(
        CoreErrors.Usage, $"{option} '{Printable.Of(text, 80)}' is no place to meet", "give HOST:PORT, or unix:PATH with a path of at most 107 bytes");
}

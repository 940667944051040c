using System.Net.Sockets;

namespace KaslrMt.Hypervisors;

/// <summary>A Unix socket in a private folder, whose path may be longer than a socket address holds. Disposing removes it.</summary>
public sealed class LocalSocket : IDisposable
{
    private readonly string _path;
    private readonly UnixSocketPath _address;
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

    private LocalSocket(string path, UnixSocketPath address) => (_path, _address) = (path, address);

    /// <summary>Its path in a form that fits a socket address, for other processes of this user too, as long as this object lives.</summary>
    public string Address => _address.Short;

    /// <summary>Makes the socket, replacing what a dead process left, and listens.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.RuntimeDirectoryFailed"/>.</exception>
    public static LocalSocket Listen(string path)
    {
        LocalSocket made = new(path, UnixSocketPath.For(path));
        try
        {
            File.Delete(path);
            made._listener.Bind(new UnixDomainSocketEndPoint(made.Address));
            made._listener.Listen(8);
            return made;
        }
        catch (Exception e) when (e is SocketException or IOException or UnauthorizedAccessException)
        {
            made.Dispose();
            throw new KaslrMtException(HypervisorErrors.RuntimeDirectoryFailed, $"the socket {path} cannot be made ({Printable.Of(e.Message)})", inner: e);
        }
    }

    /// <summary>A path in the form of <see cref="Address"/>, of a socket that another process makes.</summary>
    public static LocalSocket Expect(string path)
    {
        File.Delete(path);
        return new LocalSocket(path, UnixSocketPath.For(path));
    }

    /// <summary>Waits for the next to connect.</summary>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public async Task<Stream> AcceptAsync(CancellationToken cancellationToken) =>
        new NetworkStream(await _listener.AcceptAsync(cancellationToken).ConfigureAwait(false), ownsSocket: true);

    /// <summary>Connects to a socket.</summary>
    /// <exception cref="SocketException">Nobody listens.</exception>
    public static async Task<Stream> ConnectAsync(string path, CancellationToken cancellationToken)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            using UnixSocketPath address = UnixSocketPath.For(path);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(address.Short), cancellationToken).ConfigureAwait(false);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _listener.Dispose();
        _address.Dispose();
        Remove(_path);
    }

    /// <summary>Removes a socket of a VM's folder, which may be gone already: the VM's owner removes the folder as soon as the hypervisor has ended.</summary>
    internal static void Remove(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (DirectoryNotFoundException)
        {
            // And the socket with it.
        }
    }
}

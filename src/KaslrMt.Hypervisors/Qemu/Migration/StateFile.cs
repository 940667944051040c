using System.Net.Sockets;

namespace KaslrMt.Hypervisors;

/// <summary>A guest's state on its way between QEMU and a file, over a socket of this process: no shell, and errors of the disk are seen here.</summary>
internal static class StateFile
{
    private const int BlockSize = 1 << 20;

    /// <summary>Takes a stream from the first to connect and writes it to a file not named yet.</summary>
    internal static async Task TakeAsync(Socket listener, WholeFile file, long offset, CancellationToken cancellationToken)
    {
        using Socket sender = await listener.AcceptAsync(cancellationToken).ConfigureAwait(false);
        byte[] block = GC.AllocateUninitializedArray<byte>(BlockSize);
        long written = offset;
        for (int read; (read = await sender.ReceiveAsync(block, SocketFlags.None, cancellationToken).ConfigureAwait(false)) > 0; written += read)
        {
            file.Write(block.AsSpan(0, read), written);
        }
    }

    /// <summary>Sends a file to a socket that listens.</summary>
    internal static async Task GiveAsync(FileStream file, string socketPath, CancellationToken cancellationToken)
    {
        using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        using UnixSocketPath path = UnixSocketPath.For(socketPath);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path.Short), cancellationToken).ConfigureAwait(false);
        byte[] block = GC.AllocateUninitializedArray<byte>(BlockSize);
        for (int read; (read = await file.ReadAsync(block, cancellationToken).ConfigureAwait(false)) > 0;)
        {
            for (int sent = 0; sent < read;)
            {
                sent += await socket.SendAsync(block.AsMemory(sent, read - sent), SocketFlags.None, cancellationToken).ConfigureAwait(false);
            }
        }
    }
}

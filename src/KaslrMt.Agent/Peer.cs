using System.Buffers.Binary;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace KaslrMt.Agent;

/// <summary>The process at the other end of a Unix socket, as the kernel knows it: nobody can forge it.</summary>
/// <param name="ProcessId">The process that connected.</param>
/// <param name="User">Its effective user.</param>
/// <param name="Group">Its effective group.</param>
/// <param name="Groups">Its supplementary groups.</param>
internal sealed record Peer(int ProcessId, uint User, uint Group, IReadOnlyList<uint> Groups)
{
    // unix(7), socket(7): SOL_SOCKET, SO_PEERCRED, SO_PEERGROUPS (asm-generic/socket.h).
    private const int SocketLevel = 1;
    private const int PeerCredentials = 17;
    private const int PeerGroups = 59;
    private const int MostGroups = 65536; // NGROUPS_MAX

    /// <summary>Gets the peer of a connected socket, as it was when it connected.</summary>
    /// <exception cref="SocketException">The socket has none.</exception>
    public static Peer Of(Socket socket)
    {
        Span<byte> credentials = stackalloc byte[12];
        socket.GetRawSocketOption(SocketLevel, PeerCredentials, credentials);
        byte[] groups = new byte[64 * sizeof(uint)];
        int length = 0;
        while (true)
        {
            try
            {
                length = socket.GetRawSocketOption(SocketLevel, PeerGroups, groups);
                break;
            }
            catch (SocketException) when (groups.Length < MostGroups * sizeof(uint))
            {
                // ERANGE: a process may have 65,536 groups.
                groups = new byte[MostGroups * sizeof(uint)];
            }
        }

        return new(
            BinaryPrimitives.ReadInt32LittleEndian(credentials),
            BinaryPrimitives.ReadUInt32LittleEndian(credentials[4..]),
            BinaryPrimitives.ReadUInt32LittleEndian(credentials[8..]),
            MemoryMarshal.Cast<byte, uint>(groups.AsSpan(0, length)).ToArray());
    }
}

using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace KaslrMt.Agent;

/// <summary>Bounds the connections of callers that are not the agent's own user: none of them keeps the others out by connecting and saying nothing.</summary>
/// <param name="access">Whose agent this is.</param>
internal sealed class ConnectionLimits(Access access)
{
    /// <summary>The most connections of one user.</summary>
    public const int MostOfOne = 64;

    /// <summary>The most connections of all such users.</summary>
    public const int MostOfAll = 600;

    private readonly Lock _gate = new();
    private readonly Dictionary<uint, int> _open = [];
    private int _all;
    private int _served;

    /// <summary>Gets how many connections are open. A command keeps its own from the first question to the last: an agent that has one is not idle.</summary>
    public int Open => Volatile.Read(ref _served);

    /// <summary>Serves a connection, or closes it at once.</summary>
    public async Task ServeAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        Interlocked.Increment(ref _served);
        try
        {
            await ServeBoundedAsync(connection, next).ConfigureAwait(false);
        }
        finally
        {
            Interlocked.Decrement(ref _served);
        }
    }

    /// <summary>Counts a connection of a user; false where there are too many.</summary>
    internal bool TryEnter(uint user)
    {
        lock (_gate)
        {
            int own = _open.GetValueOrDefault(user);
            if (own >= MostOfOne || _all >= MostOfAll)
            {
                return false;
            }

            _open[user] = own + 1;
            _all++;
            return true;
        }
    }

    /// <summary>Counts a connection no more.</summary>
    internal void Leave(uint user)
    {
        lock (_gate)
        {
            _all--;
            if (--_open[user] == 0)
            {
                _open.Remove(user);
            }
        }
    }

    private async Task ServeBoundedAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        Peer? peer = connection.Features.Get<IConnectionSocketFeature>() is { Socket: Socket socket } ? Peer.Of(socket) : null;
        if (peer is null || access.IsOwner(peer))
        {
            await next(connection).ConfigureAwait(false);
            return;
        }

        if (!TryEnter(peer.User))
        {
            connection.Abort(new ConnectionAbortedException("this user has too many connections"));
            return;
        }

        try
        {
            await next(connection).ConfigureAwait(false);
        }
        finally
        {
            Leave(peer.User);
        }
    }
}

using System.Net.Sockets;

namespace KaslrMt.Hypervisors;

/// <summary>Cuts what a socket sends into lines, none longer than a limit.</summary>
internal sealed class QmpLines(Socket socket, int limit)
{
    private byte[] _buffer = new byte[8192];
    private int _start;
    private int _end;

    /// <summary>The next line without its end, valid until the next call; null when the peer closed.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.MonitorGarbage"/> when a line passes the limit.</exception>
    internal async ValueTask<ReadOnlyMemory<byte>?> NextAsync(CancellationToken cancellationToken)
    {
        int searched = _start;
        while (true)
        {
            int newline = _buffer.AsSpan(searched, _end - searched).IndexOf((byte)'\n');
            if (newline >= 0)
            {
                ReadOnlyMemory<byte> line = _buffer.AsMemory(_start, searched + newline - _start);
                _start = searched + newline + 1;
                return line;
            }

            if (_end - _start >= limit)
            {
                throw new KaslrMtException(HypervisorErrors.MonitorGarbage, $"the monitor sent a line of more than {limit} bytes");
            }

            MakeRoom();
            searched = _end;
            int read = await socket.ReceiveAsync(_buffer.AsMemory(_end), SocketFlags.None, cancellationToken).ConfigureAwait(false);
            if (read == 0)
            {
                return null;
            }

            _end += read;
        }
    }

    private void MakeRoom()
    {
        _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
        _end -= _start;
        _start = 0;
        if (_end == _buffer.Length)
        {
            Array.Resize(ref _buffer, (int)Math.Min((long)_buffer.Length * 2, limit + 1L));
        }
    }
}

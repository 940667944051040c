using System.Text;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Hypervisors;

/// <summary>Keeps the end of what a process writes to a pipe. A guest can make QEMU complain without end: memory stays bounded, disks clean.</summary>
internal sealed class StderrTail
{
    private const int Kept = 4096;
    private const int LinesShown = 3;

    private readonly byte[] _ring = new byte[Kept];
    private readonly Lock _gate = new();
    private readonly Thread _thread;
    private long _total;

    internal StderrTail(SafeFileHandle readEnd)
    {
        _thread = new Thread(() => Drain(readEnd), 256 << 10) { IsBackground = true, Name = "QEMU stderr" };
        _thread.Start();
    }

    /// <summary>Waits until the writers have closed their ends, at most that long (a helper of QEMU's may outlive it).</summary>
    internal void WaitForEnd(TimeSpan timeout) => _thread.Join(timeout);

    /// <summary>The last lines, cleaned, as one.</summary>
    internal string LastWords()
    {
        byte[] bytes;
        lock (_gate)
        {
            int length = (int)Math.Min(_total, Kept);
            bytes = new byte[length];
            for (int i = 0; i < length; i++)
            {
                bytes[i] = _ring[(int)((_total - length + i) % Kept)];
            }
        }

        IEnumerable<string> lines = Encoding.UTF8.GetString(bytes).Split('\n').Select(line => Printable.Of(line, 300)).Where(line => line.Length > 0);
        return string.Join(" / ", lines.TakeLast(LinesShown));
    }

    private void Drain(SafeFileHandle readEnd)
    {
        using FileStream stream = new(readEnd, FileAccess.Read, bufferSize: 0);
        byte[] block = new byte[1024];
        for (int read = stream.Read(block); read > 0; read = stream.Read(block))
        {
            lock (_gate)
            {
                for (int i = 0; i < read; i++)
                {
                    _ring[(int)(_total++ % Kept)] = block[i];
                }
            }
        }
    }
}

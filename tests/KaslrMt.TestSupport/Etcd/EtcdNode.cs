using System.Diagnostics;
using System.Globalization;

namespace KaslrMt.TestSupport.Etcd;

/// <summary>One etcd process, with its data in a scratch directory. It ends with the test process, however that ends.</summary>
internal sealed class EtcdNode : IDisposable
{
    // The shell outlives nothing: when this process is gone its input ends, and it ends etcd.
    private const string Wrapper = "\"$@\" >/dev/null 2>&1 & echo $!; cat >/dev/null; kill -9 $! 2>/dev/null; wait";

    private readonly string[] _command;
    private Process? _shell;

    /// <param name="endpoint">Where clients find it.</param>
    /// <param name="inside">The command that runs another where the node is to be; empty for here.</param>
    /// <param name="arguments">etcd's own.</param>
    internal EtcdNode(Uri endpoint, string[] inside, string[] arguments)
    {
        Endpoint = endpoint;
        _command = [.. inside, "nice", "etcd", .. arguments];
        Start();
    }

    internal Uri Endpoint { get; }

    internal int ProcessId { get; private set; }

    internal bool IsRunning => _shell is not null;

    internal void Start()
    {
        ProcessStartInfo start = new("sh") { RedirectStandardInput = true, RedirectStandardOutput = true };
        Array.ForEach(["-c", Wrapper, "sh", .. _command], start.ArgumentList.Add);
        _shell = Process.Start(start)!;
        ProcessId = int.Parse(_shell.StandardOutput.ReadLine()!, CultureInfo.InvariantCulture);
    }

    /// <summary>Kill -9.</summary>
    internal void Kill()
    {
        if (_shell is { } shell)
        {
            shell.StandardInput.Close();
            shell.WaitForExit();
            shell.Dispose();
            _shell = null;
        }
    }

    /// <summary>Stops it from answering, as a cut cable does; it comes back with what it knew.</summary>
    internal void Freeze() => Signal("STOP");

    internal void Thaw() => Signal("CONT");

    public void Dispose() => Kill();

    private void Signal(string name)
    {
        using Process kill = Process.Start("kill", [$"-{name}", $"{ProcessId}"]);
        kill.WaitForExit();
    }
}

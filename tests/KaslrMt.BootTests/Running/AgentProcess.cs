using System.Collections.Concurrent;
using System.Diagnostics;
using KaslrMt.Vms;

namespace KaslrMt.BootTests.Running;

/// <summary>An agent that a test starts itself, to read its log.</summary>
internal sealed class AgentProcess : IDisposable
{
    private readonly ConcurrentQueue<string> _log = new();
    private readonly HostFolder _host;
    private readonly Process _process;

    internal AgentProcess(HostFolder host)
    {
        _host = host;
        ProcessStartInfo start = new(Path.Combine(KaslrmtProcess.AgentFolder, "kaslrmtd")) { RedirectStandardError = true };
        KaslrmtProcess.Enter(start, host);
        _process = Process.Start(start)!;
        _process.ErrorDataReceived += (_, line) => _log.Enqueue(line.Data ?? "");
        _process.BeginErrorReadLine();
    }

    internal int Id => _process.Id;

    /// <summary>Gets what it said.</summary>
    internal string Log => string.Join('\n', _log);

    /// <summary>Waits until it answers: it has its VMs then.</summary>
    internal async Task WaitForAnswerAsync()
    {
        using AgentClient client = new(AgentSocket.In(_host.Runtime));
        for (long start = Environment.TickCount64; await client.TryConnectAsync(CancellationToken.None) is null; await Task.Delay(5))
        {
            Assert.True(!_process.HasExited && Environment.TickCount64 - start < HostProcesses.Patience.TotalMilliseconds, $"the agent does not answer\n{Log}");
        }
    }

    /// <summary>Tells it to end; its VMs run on.</summary>
    internal async Task TerminateAsync()
    {
        await HostProcesses.SignalAsync(Id, "TERM");
        await _process.WaitForExitAsync().WaitAsync(HostProcesses.Patience);
        Assert.Equal(0, _process.ExitCode);
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            _process.WaitForExit();
        }

        _process.Dispose();
    }
}

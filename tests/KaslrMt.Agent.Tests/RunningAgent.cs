using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using KaslrMt.Hypervisors;
using KaslrMt.Vms;

namespace KaslrMt.Agent.Tests;

/// <summary>A <c>kaslrmtd</c> with a runtime, a state and a configuration directory of its own; it and its VMs are gone after the test.</summary>
public partial class RunningAgent : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    private readonly Task<string> _error;

    public RunningAgent()
        : this(_ => { })
    {
    }

    /// <param name="prepare">Prepares the host before the agent starts.</param>
    internal RunningAgent(Action<HostFolder> prepare)
    {
        prepare(Host);
        Process = Start(Host);
        _error = Process.StandardError.ReadToEndAsync();
        Api = new AgentApi(Socket);
    }

    /// <summary>Its directories.</summary>
    internal HostFolder Host { get; } = new();

    internal Process Process { get; }

    internal AgentApi Api { get; }

    internal string Socket => AgentSocket.In(Host.Runtime);

    internal int Descriptors => Directory.GetFileSystemEntries($"/proc/{Process.Id}/fd").Length;

    /// <summary>The most memory that the agent's process ever had, in MiB.</summary>
    internal long PeakMemory => long.Parse(
        File.ReadLines($"/proc/{Process.Id}/status").First(line => line.StartsWith("VmHWM:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1],
        CultureInfo.InvariantCulture) / 1024;

    /// <summary>Starts an agent.</summary>
    internal static Process Start(HostFolder host, params string[] arguments) => StartIn(Environment.CurrentDirectory, host, arguments);

    /// <summary>Starts an agent in a folder, as a command does that is called there.</summary>
    internal static Process StartIn(string folder, HostFolder host, params string[] arguments)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "kaslrmtd"), arguments)
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
            WorkingDirectory = folder,
        };
        start.Environment["KASLRMT_RUNTIME_DIR"] = host.At("run");
        start.Environment["KASLRMT_STATE_DIR"] = host.StateDirectory;
        start.Environment["XDG_CONFIG_HOME"] = host.ConfigurationHome;
        return Process.Start(start)!;
    }

    public async Task InitializeAsync()
    {
        using var client = new AgentClient(Socket);
        for (var waited = Stopwatch.StartNew(); await client.TryConnectAsync(CancellationToken.None) is null;)
        {
            Assert.False(Process.HasExited, Process.HasExited ? await _error : "");
            Assert.True(waited.Elapsed < Patience, $"the agent does not begin (socket: {File.Exists(Socket)}, processor time: {Process.TotalProcessorTime})");
            await Task.Delay(10);
        }
    }

    public async Task DisposeAsync()
    {
        Api.Dispose();
        Process.Kill();
        await Process.WaitForExitAsync();
        foreach (RunningVm vm in Directory.Exists(Host.Runtime.Path) ? Host.Runtime.List() : [])
        {
            if (vm.State is { ProcessId: int process, ProcessStartTime: not null })
            {
                using Process? qemu = Find(process);
                qemu?.Kill();
                await (qemu?.WaitForExitAsync() ?? Task.CompletedTask);
            }
        }

        Process.Dispose();
        Host.Dispose();
    }

    /// <summary>Sends a signal.</summary>
    internal void Signal(PosixSignal signal) => Assert.Equal(0, Kill(Process.Id, signal == PosixSignal.SIGTERM ? 15 : 2));

    /// <summary>Waits for its end.</summary>
    /// <returns>Its exit code, and what it wrote to standard error.</returns>
    internal async Task<(int Code, string Error)> EndAsync()
    {
        using var patience = new CancellationTokenSource(Patience);
        await Process.WaitForExitAsync(patience.Token);
        return (Process.ExitCode, await _error);
    }

    private static Process? Find(int process)
    {
        try
        {
            return Process.GetProcessById(process);
        }
        catch (ArgumentException)
        {
            return null;
        }
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);
}

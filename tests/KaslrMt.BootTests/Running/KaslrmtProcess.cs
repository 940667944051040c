using System.Diagnostics;
using System.Reflection;
using System.Text;

namespace KaslrMt.BootTests.Running;

/// <summary>The real command in a process of its own, with a test's runtime, state and configuration directories: a host of its own.</summary>
internal sealed class KaslrmtProcess : IDisposable
{
    // The native binaries that ./test.sh publishes; what the build made for this project where a developer runs the tests alone.
    private static readonly string? Published = Environment.GetEnvironmentVariable("KASLRMT_PROGRAMS") is { Length: > 0 } folder ? Path.GetFullPath(folder) : null;

    /// <summary>Where <c>kaslrmtd</c> is: the command looks for it beside itself, then in PATH.</summary>
    internal static readonly string AgentFolder = Published ?? Path.GetFullPath(
        typeof(KaslrmtProcess).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(one => one.Key == "Agent").Value!);

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(120);

    private readonly Process _process;
    private readonly Task<string> _output;
    private readonly Task<string> _error;
    private readonly StringBuilder _said = new();

    internal KaslrmtProcess(HostFolder scratch, params string[] arguments)
    {
        // The laboratory's commands are a program of their own.
        string program = arguments is ["demo" or "experiment" or "report", ..] ? "kaslrmt-lab" : "kaslrmt";
        ProcessStartInfo start = new(Path.Combine(Published ?? AppContext.BaseDirectory, program), arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        Enter(start, scratch);
        _process = Process.Start(start)!;
        _output = _process.StandardOutput.ReadToEndAsync();
        _error = Task.Run(ListenAsync);
    }

    internal int Id => _process.Id;

    /// <summary>What it has written to standard error so far.</summary>
    internal string Error
    {
        get
        {
            lock (_said)
            {
                return _said.ToString();
            }
        }
    }

    internal bool HasExited => _process.HasExited;

    /// <summary>Puts a process to be started on a test's host.</summary>
    internal static void Enter(ProcessStartInfo start, HostFolder host)
    {
        start.Environment["KASLRMT_RUNTIME_DIR"] = host.Runtime.Path;
        start.Environment["KASLRMT_STATE_DIR"] = host.StateDirectory;
        start.Environment["PATH"] = $"{AgentFolder}:{start.Environment["PATH"]}";
        start.Environment["XDG_CONFIG_HOME"] = host.ConfigurationHome;
        start.Environment["KASLRMT_CRASH_AT"] = host.CrashAt;
        start.Environment.Remove("KASLRMT_STORE");
        start.Environment.Remove("KASLRMT_KEK_FILE");
    }

    /// <summary>Runs it to its end.</summary>
    internal static async Task<(int ExitCode, string Output, string Error)> RunAsync(HostFolder scratch, params string[] arguments)
    {
        using KaslrmtProcess process = new(scratch, arguments);
        return await process.EndAsync();
    }

    /// <summary>Waits for its end.</summary>
    /// <param name="limit">How long that may take; null for what a boot or two may.</param>
    internal async Task<(int ExitCode, string Output, string Error)> EndAsync(TimeSpan? limit = null)
    {
        await _process.WaitForExitAsync().WaitAsync(limit ?? Limit);
        return (_process.ExitCode, await _output, await _error);
    }

    /// <summary>Sends a signal: <c>INT</c>, <c>TERM</c>, <c>KILL</c>.</summary>
    internal async Task SignalAsync(string signal)
    {
        using Process kill = Process.Start("kill", [$"-{signal}", $"{Id}"]);
        await kill.WaitForExitAsync();
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

    private async Task<string> ListenAsync()
    {
        char[] block = new char[1024];
        for (int read; (read = await _process.StandardError.ReadAsync(block)) > 0;)
        {
            lock (_said)
            {
                _said.Append(block, 0, read);
            }
        }

        return Error;
    }
}

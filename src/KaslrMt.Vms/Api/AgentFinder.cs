using KaslrMt.Hypervisors;

namespace KaslrMt.Vms;

/// <summary>Finds the agent that serves this caller, and starts one where there is none.</summary>
internal static class AgentFinder
{
    /// <summary>The agent's program, beside this one or in PATH.</summary>
    private const string Program = "kaslrmtd";

    private const string Unit = "kaslrmtd.service";

    private static readonly TimeSpan StartPatience = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(10);

    /// <summary>Gets the agent, started now where none runs.</summary>
    /// <param name="lines">Is told when it is another user's agent that answers.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="KaslrMtException">KMT9024: it cannot be started; KMT9023.</exception>
    public static async Task<AgentClient> EnsureAsync(Action<string> lines, CancellationToken cancellationToken)
    {
        if (await TryFindAsync(lines, cancellationToken).ConfigureAwait(false) is { } running)
        {
            return running;
        }

        RuntimeDirectory runtime = RuntimeDirectory.Open();
        using DetachedProcess started = Start();
        var client = new AgentClient(AgentSocket.In(runtime));
        for (long start = Environment.TickCount64; Environment.TickCount64 - start < StartPatience.TotalMilliseconds;)
        {
            if (await client.TryConnectAsync(cancellationToken).ConfigureAwait(false) is not null)
            {
                return client;
            }

            // One that ended in order found another agent, which answers in a moment, or was systemctl.
            if (started.Exited.IsCompleted && await started.Exited.ConfigureAwait(false) != 0)
            {
                client.Dispose();
                throw await EndedAsync(started, runtime).ConfigureAwait(false);
            }

            await Task.Delay(Interval, cancellationToken).ConfigureAwait(false);
        }

        client.Dispose();
        throw new KaslrMtException(
            VmErrors.AgentFailed, $"the agent does not answer at {client.Socket} within {StartPatience.TotalSeconds:0} s of its start", $"see {Path.Combine(runtime.Path, "agent.log")}, or run {Program} by hand");
    }

    /// <summary>Gets the agent that runs; null where none does.</summary>
    /// <inheritdoc cref="EnsureAsync"/>
    public static async Task<AgentClient?> TryFindAsync(Action<string> lines, CancellationToken cancellationToken)
    {
        if (await TryFindHostsAsync(lines, cancellationToken).ConfigureAwait(false) is { } host)
        {
            return host;
        }

        string own = AgentSocket.In(RuntimeDirectory.Open());
        var client = new AgentClient(own);
        if (await client.TryConnectAsync(cancellationToken).ConfigureAwait(false) is not null)
        {
            return client;
        }

        client.Dispose();
        return null;
    }

    /// <summary>Gets the host's agent where it is another user's, and serves this caller too; null where there is none.</summary>
    /// <remarks>The VMs of an agent of one's own lie in one's own runtime directory: looking there is the same, and faster.</remarks>
    /// <inheritdoc cref="EnsureAsync"/>
    public static async Task<AgentClient?> TryFindHostsAsync(Action<string> lines, CancellationToken cancellationToken)
    {
        if (Environment.GetEnvironmentVariable("KASLRMT_RUNTIME_DIR") is not (null or "") || !File.Exists(AgentSocket.Host) || AgentSocket.In(RuntimeDirectory.Open()) == AgentSocket.Host)
        {
            return null;
        }

        var host = new AgentClient(AgentSocket.Host);
        try
        {
            if (await host.TryConnectAsync(cancellationToken).ConfigureAwait(false) is { } info)
            {
                lines($"{LineLogger.Prefix}the host's agent answers (process {info.ProcessId})");
                return host;
            }
        }
        catch (KaslrMtException refused) when (refused.Code.Number == VmErrors.NotAllowed.Number)
        {
            // A user without rights to the host's agent has an agent and a table of its own.
        }

        host.Dispose();
        return null;
    }

    // The packaged service where systemd runs; else a process of its own, which ends when nothing is left.
    private static DetachedProcess Start()
    {
        if (Environment.UserName == "root" && Directory.Exists("/run/systemd/system") && File.Exists($"/lib/systemd/system/{Unit}")
            && Environment.GetEnvironmentVariable("KASLRMT_RUNTIME_DIR") is null or "")
        {
            return DetachedProcess.Start("/bin/systemctl", ["start", Unit]);
        }

        return DetachedProcess.Start(Find(), ["--until-idle"]);
    }

    private static async Task<KaslrMtException> EndedAsync(DetachedProcess started, RuntimeDirectory runtime)
    {
        string words = await started.LastLineAsync().ConfigureAwait(false) is { } line ? $"its last line: {Printable.Of(line)}" : "it said nothing";
        return new KaslrMtException(VmErrors.AgentFailed, $"the agent ended as it started; {words}", $"see {Path.Combine(runtime.Path, "agent.log")}, or run {Program} by hand");
    }

    private static string Find()
    {
        string beside = Path.Combine(AppContext.BaseDirectory, Program);
        return File.Exists(beside)
            ? beside
            : (Environment.GetEnvironmentVariable("PATH") ?? "/usr/bin:/bin").Split(':').Where(Path.IsPathRooted).Select(folder => Path.Combine(folder, Program)).FirstOrDefault(File.Exists)
                ?? throw new KaslrMtException(VmErrors.AgentFailed, $"the program {Program} is neither beside this one nor in PATH", "install it: a VM that outlives its command needs it");
    }
}

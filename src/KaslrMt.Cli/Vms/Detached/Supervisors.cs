using System.Reflection;
using KaslrMt.Hypervisors;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Vms.Detached;

/// <summary>Starts the processes that own detached VMs.</summary>
internal static class Supervisors
{
    /// <summary>The hidden command they run.</summary>
    public const string Word = "supervise";

    /// <summary>Its option for a VM that runs already.</summary>
    public const string AdoptOption = "--adopt";

    /// <summary>Its option for a VM that comes from a file or another host.</summary>
    public const string ArriveOption = "--arrive";

    // An adopter answers within a second; one that does not is not waited for.
    private static readonly TimeSpan AdoptionPatience = TimeSpan.FromSeconds(10);

    /// <summary>Starts a detached VM; returns once it runs and, where asked for, its layout was looked at.</summary>
    /// <param name="plan">What it is to be.</param>
    /// <param name="request">Holds the secrets.</param>
    /// <param name="error">Takes the supervisor's lines.</param>
    /// <param name="cancellationToken">Ends the VM instead, while it starts.</param>
    /// <returns>The command's exit code.</returns>
    /// <exception cref="KaslrMtException">KMT9013: the supervisor ended without a word.</exception>
    public static Task<int> StartAsync(DetachedPlan plan, LayoutRequest request, TextWriter error, CancellationToken cancellationToken) =>
        StartAsync(plan.Name, pipe => SupervisorOrder.Send(pipe, plan, request), arrives: false, error, cancellationToken, plan.Name);

    /// <summary>Starts the supervisor of a VM that comes from a file or another host; returns once it runs here.</summary>
    /// <param name="order">What is to come.</param>
    /// <param name="error">Takes the supervisor's lines.</param>
    /// <param name="cancellationToken">Gives up. Too late once the VM is here: it runs on.</param>
    /// <returns>The command's exit code.</returns>
    /// <exception cref="KaslrMtException">KMT9013: the supervisor ended without a word.</exception>
    public static Task<int> StartAsync(IncomingRequest order, TextWriter error, CancellationToken cancellationToken) =>
        StartAsync(order.Name, pipe => SupervisorOrder.Send(pipe, order), arrives: true, error, cancellationToken, order.Name, ArriveOption);

    private static async Task<int> StartAsync(string name, Action<Stream> give, bool arrives, TextWriter error, CancellationToken cancellationToken, params string[] words)
    {
        using DetachedProcess supervisor = Spawn(words);
        try
        {
            give(supervisor.Input);
            if (!arrives)
            {
                await supervisor.Input.DisposeAsync().ConfigureAwait(false);
            }
        }
        catch (IOException)
        {
            // It ended at once; what it said follows.
        }

        // A signal would end a VM that has just arrived; the end of its input is heeded only before.
        using CancellationTokenRegistration registration = cancellationToken.Register(arrives ? supervisor.Input.Dispose : supervisor.Terminate);
        int? code = await SupervisorReport.ReadAsync(supervisor.Output, error).ConfigureAwait(false);
        return cancellationToken.IsCancellationRequested && !(arrives && code is (ExitCode.Success or ExitCode.CheckFailed))
            ? ExitCode.Interrupted
            : code ?? throw new KaslrMtException(
                VmErrors.Supervisor, $"the supervisor of '{name}', process {supervisor.Id}, ended without a word", "see 'kaslrmt ps' for what is left, and run again");
    }

    /// <summary>Sweeps, and gives every detached VM whose supervisor died a new one.</summary>
    /// <param name="runtime">Where VMs are.</param>
    /// <param name="error">Takes what goes wrong. The VMs go on without a supervisor then, and are listed so.</param>
    public static async Task AdoptOrphansAsync(RuntimeDirectory runtime, TextWriter error)
    {
        List<string> orphans = [];
        runtime.Sweep(orphans);
        await Task.WhenAll(orphans.Select(name => AdoptAsync(name, error))).ConfigureAwait(false);
    }

    private static async Task AdoptAsync(string name, TextWriter error)
    {
        try
        {
            using DetachedProcess supervisor = Spawn(name, AdoptOption);
            await supervisor.Input.DisposeAsync().ConfigureAwait(false);
            await SupervisorReport.ReadAsync(supervisor.Output, error).WaitAsync(AdoptionPatience).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            await error.WriteLineAsync($"kaslrmt: {name}: its new supervisor does not answer yet").ConfigureAwait(false);
        }
        catch (KaslrMtException failure)
        {
            await error.WriteLineAsync($"kaslrmt: {failure.Code}: {name} has no supervisor: {failure.Message}").ConfigureAwait(false);
        }
    }

    private static DetachedProcess Spawn(params string[] words)
    {
        string self = Environment.ProcessPath ?? throw new KaslrMtException(VmErrors.Supervisor, "this program's own file is unknown");

        // Run as "dotnet kaslrmt.dll": the program is an argument of its runtime.
        string[] program = Path.GetFileNameWithoutExtension(self) == "dotnet" ? [Assembly.GetExecutingAssembly().Location] : [];
        return DetachedProcess.Start(self, [.. program, Word, .. words]);
    }
}

using KaslrMt.Hypervisors;

namespace KaslrMt.Agent;

/// <summary>That this agent is the only one of its runtime directory. The kernel frees the lock when the agent dies, however it dies.</summary>
internal sealed class AgentLock : IDisposable
{
    private readonly FileStream _file;

    private AgentLock(FileStream file) => _file = file;

    // A killed agent is gone from the process list some time before the kernel frees its lock.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    /// <summary>Takes the lock; null when another agent has it, and goes on having it.</summary>
    public static AgentLock? TryTake(RuntimeDirectory runtime)
    {
        AgentLock? taken = TryOnce(runtime);
        for (long start = Environment.TickCount64; taken is null && Environment.TickCount64 - start < Patience.TotalMilliseconds; taken = TryOnce(runtime))
        {
            Thread.Sleep(20);
        }

        return taken;
    }

    private static AgentLock? TryOnce(RuntimeDirectory runtime)
    {
        try
        {
            return new AgentLock(new FileStream(Path.Combine(runtime.Path, ".agent.lock"), new FileStreamOptions
            {
                Mode = FileMode.OpenOrCreate,
                Access = FileAccess.ReadWrite,
                Share = FileShare.None,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            }));
        }
        catch (IOException held) when (FileProblem.IsHeldByAnother(held))
        {
            return null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new KaslrMtException(
                HypervisorErrors.RuntimeDirectoryFailed, $"the agent's lock in {runtime.Path} cannot be taken: {FileProblem.Reason(error)}", "see what its disk lacks, or set KASLRMT_RUNTIME_DIR", error);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();
}

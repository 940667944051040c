using KaslrMt.Kernels;

namespace KaslrMt.Vms.Workers;

/// <summary>How the process is started that understands kernel files.</summary>
/// <param name="Program">The executable's absolute path: the agent's own as a rule.</param>
/// <param name="Arguments">Its arguments, such as <c>worker</c>; never a secret.</param>
public sealed record WorkerSettings(string Program, IReadOnlyList<string> Arguments)
{
    /// <summary>After this time the worker is killed. Debian's kernels take about 0.2 s.</summary>
    public TimeSpan TimeLimit { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>The user that a worker started by root becomes; not 0. Give it to nothing else.</summary>
    public int User { get; init; } = KernelWorker.Nobody;
}

using KaslrMt.Hypervisors;
using KaslrMt.Vms;

namespace KaslrMt.Cli.Agents;

/// <summary>Detached VMs whose agent died: the next command that looks starts an agent, which takes them back before it answers.</summary>
internal static class Orphans
{
    /// <summary>Sweeps what foreground owners left behind, and sees to it that every detached VM has an agent.</summary>
    /// <param name="runtime">Where VMs are.</param>
    /// <param name="error">Takes what goes wrong. The VMs go on without an agent then, and are listed so.</param>
    public static async Task AdoptAsync(RuntimeDirectory runtime, TextWriter error)
    {
        List<string> orphans = [];
        runtime.Sweep(orphans);
        if (orphans.Count == 0)
        {
            return;
        }

        try
        {
            using AgentClient agent = await Agents.EnsureAsync(error, CancellationToken.None).ConfigureAwait(false);
        }
        catch (KaslrMtException failure)
        {
            await error.WriteLineAsync($"kaslrmt: {failure.Code}: {string.Join(", ", orphans)}: no agent supervises them: {failure.Message}").ConfigureAwait(false);
        }
    }
}

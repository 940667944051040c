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
        List<EndedVm> ended = [];
        runtime.Sweep(orphans, ended);
        foreach (EndedVm vm in ended)
        {
            await error.WriteLineAsync($"kaslrmt: {vm.Name} ended while no agent supervised it ({vm.End.Reason})").ConfigureAwait(false);
        }

        if (orphans.Count == 0)
        {
            return;
        }

        try
        {
            using AgentClient agent = await AgentFinder.EnsureAsync(error.WriteLine, CancellationToken.None).ConfigureAwait(false);

            // An agent that started just now has them; one that runs already looks for them when it is asked.
            await agent.ListAsync(CancellationToken.None).ConfigureAwait(false);
        }
        catch (KaslrMtException failure)
        {
            await error.WriteLineAsync($"kaslrmt: {failure.Code}: {string.Join(", ", orphans)}: no agent supervises them: {failure.Message}").ConfigureAwait(false);
        }
    }
}

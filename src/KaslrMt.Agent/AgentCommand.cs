using System.Reflection;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Vms;

namespace KaslrMt.Agent;

/// <summary>The command line of <c>kaslrmtd</c>.</summary>
internal static class AgentCommand
{
    /// <summary>The word by which the agent starts itself as the worker that understands kernel files; not for people.</summary>
    public const string WorkerWord = "worker";

    private const string Help =
        """
        The agent of a host: supervises all VMs of its user that outlive their command.

        Usage: kaslrmtd [options]

        Options:
          --until-idle   End once nothing is left to supervise, as 'kaslrmt run --detach'
                         starts it where there is no systemd; its log
                         is agent.log in the runtime directory then
          --version      Show the version
          -h, --help     Show this help

        It listens at agent.sock in the runtime directory ($KASLRMT_RUNTIME_DIR, else
        /run/kaslrmt for root, else $XDG_RUNTIME_DIR/kaslrmt). VMs go on when it ends, however
        it ends; the next agent takes them back.

        Examples:
          systemctl start kaslrmtd
          kaslrmtd --until-idle
        """;

    /// <summary>The program's version.</summary>
    public static string Version { get; } =
        typeof(AgentCommand).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "";

    /// <summary>Runs one call.</summary>
    /// <returns>The exit code.</returns>
    public static async Task<int> RunAsync(string[] args)
    {
        if (args is [WorkerWord])
        {
            return KernelWorker.Run();
        }

        bool untilIdle = false;
        foreach (string word in args)
        {
            switch (word)
            {
                case "--help" or "-h":
                    await Console.Out.WriteLineAsync(Help).ConfigureAwait(false);
                    return 0;
                case "--version":
                    await Console.Out.WriteLineAsync($"kaslrmtd {Version}").ConfigureAwait(false);
                    return 0;
                case "--until-idle":
                    untilIdle = true;
                    break;
                default:
                    throw new KaslrMtException(CoreErrors.Usage, $"'{Printable.Of(word, 80)}' is not an option of kaslrmtd", "see kaslrmtd --help");
            }
        }

        RuntimeDirectory runtime = RuntimeDirectory.Open();
        using AgentLock? single = AgentLock.TryTake(runtime);
        if (single is null)
        {
            await Console.Error.WriteLineAsync($"kaslrmtd: another agent serves {runtime.Path}").ConfigureAwait(false);
            return 0;
        }

        if (untilIdle)
        {
            Console.SetError(OpenLog(Path.Combine(runtime.Path, "agent.log")));
        }

        await AgentServer.RunAsync(runtime, untilIdle).ConfigureAwait(false);

        // The VMs go on: nothing of theirs is disposed of.
        return 0;
    }

    // Where a command started the agent, nothing else keeps what it says. Only the one agent that serves the directory opens the file.
    private static StreamWriter OpenLog(string path)
    {
        if (new FileInfo(path) is { Exists: true, Length: > VmLog.LargestFile })
        {
            File.Move(path, path + ".1", overwrite: true);
        }

        return new StreamWriter(new FileStream(path, new FileStreamOptions
        {
            Mode = FileMode.Append,
            Access = FileAccess.Write,
            Share = FileShare.ReadWrite | FileShare.Delete,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        }))
        { AutoFlush = true };
    }
}

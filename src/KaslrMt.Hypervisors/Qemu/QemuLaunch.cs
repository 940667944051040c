using System.Globalization;

namespace KaslrMt.Hypervisors;

/// <summary>The words that go before QEMU's own: each program does one thing and becomes the next, so that the process stays one.</summary>
internal static class QemuLaunch
{
    private const string Slice = "kaslrmt.slice";

    /// <summary>Gets the programs before QEMU.</summary>
    /// <param name="definition">The VM.</param>
    /// <param name="find">Finds a program, or throws and names Debian's package.</param>
    internal static List<string> Prefix(MachineDefinition definition, Func<string, string, string> find)
    {
        List<string> words = [];
        if (definition.Scope is { } scope)
        {
            words.AddRange([find("systemd-run", "systemd"), "--scope", "--collect", "--quiet", $"--unit={scope}", $"--slice={Slice}", "--description=VM of kaslrmt", "--"]);

            // A scope inherits the agent's protection from the OOM killer; a VM is to have none.
            words.AddRange([find("choom", "util-linux"), "-n", "0", "--"]);
        }

        List<string> rights = [];
        if (definition.RunAs is { } user)
        {
            rights.AddRange(["--reuid", Text(user.User), "--regid", Text(user.Group)]);
            rights.AddRange(user.Groups.Count > 0 ? ["--groups", string.Join(',', user.Groups.Select(Text))] : ["--clear-groups"]);
            rights.AddRange(["--inh-caps", "-all", "--no-new-privs"]);
        }

        if (!definition.OutlivesOwner)
        {
            // The signal is forgotten when a process changes its user, so it comes in the same call, which sets it last.
            rights.AddRange(["--pdeathsig", "KILL"]);
        }

        if (rights.Count > 0)
        {
            words.AddRange([find("setpriv", "util-linux"), .. rights, "--"]);
        }

        // Behind the change of user: the folder is entered with the user's rights.
        if (definition.WorkingDirectory is { } folder && folder != Environment.CurrentDirectory && (definition.RunAs is not null || Directory.Exists(folder)))
        {
            words.AddRange([find("env", "coreutils"), $"--chdir={folder}"]);
        }

        return words;
    }

    private static string Text(uint number) => number.ToString(CultureInfo.InvariantCulture);
}

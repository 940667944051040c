using System.Collections.Frozen;
using System.Globalization;

namespace KaslrMt.Hypervisors;

/// <summary>The words that go before QEMU's own: each program does one thing and becomes the next, so that the process stays one.</summary>
internal static class QemuLaunch
{
    private const string Slice = "kaslrmt.slice";

    private static readonly FrozenSet<string> Always = FrozenSet.Create("PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR");

    private static readonly FrozenSet<string> OfTheUser = FrozenSet.Create(
        "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LD_LIBRARY_PATH", "XDG_RUNTIME_DIR", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "PULSE_SERVER", "DBUS_SESSION_BUS_ADDRESS");

    /// <summary>Gets the programs before QEMU.</summary>
    /// <param name="definition">The VM.</param>
    /// <param name="program">QEMU's path.</param>
    /// <param name="find">Finds a program, or throws and names Debian's package.</param>
    internal static List<string> Prefix(MachineDefinition definition, string program, Func<string, string, string> find)
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

            // To env(1), a first word with '=' is a variable, behind "--" too. So another program comes first, and becomes the hypervisor.
            if (program.Contains('=', StringComparison.Ordinal))
            {
                words.AddRange([find("setpriv", "util-linux"), "--"]);
            }
        }

        return words;
    }

    /// <summary>Gets the variables that QEMU is given: this process's may hold secrets, and QEMU is the first thing that a hostile guest takes over.</summary>
    /// <param name="definition">The VM.</param>
    /// <param name="variables">This process's variables.</param>
    /// <returns>What finds files and speaks the user's language; with this process's own rights also what reaches the user's home, display and sound.</returns>
    internal static IEnumerable<string> Variables(MachineDefinition definition, IEnumerable<KeyValuePair<string, string>> variables) =>
        from variable in variables
        where Always.Contains(variable.Key) || variable.Key.StartsWith("LC_", StringComparison.Ordinal)
            || (definition.RunAs is null && (OfTheUser.Contains(variable.Key) || variable.Key.StartsWith("QEMU_", StringComparison.Ordinal)))
        select $"{variable.Key}={variable.Value}";

    private static string Text(uint number) => number.ToString(CultureInfo.InvariantCulture);
}

using System.Diagnostics;

namespace KaslrMt.Vms;

/// <summary>
/// Named moments in a VM's life at which a test lets this process die, just as <c>kill -9</c> would end it there. Outside of tests nobody names one: what an agent's
/// environment holds is decided by whoever may kill the agent anyhow.
/// </summary>
internal static class CrashPoint
{
    /// <summary>The environment variable that names the moment.</summary>
    public const string Variable = "KASLRMT_CRASH_AT";

    private static readonly string? Chosen = Environment.GetEnvironmentVariable(Variable);

    /// <summary>Gets the moments of a start: the name is taken, the specification is kept, the VM is in the table, its kernel is placed, its hypervisor runs, its process is noted.</summary>
    public static IReadOnlyList<string> Start { get; } = ["start-claimed", "start-kept", "start-entered", "start-placed", "start-launched", "start-noted"];

    /// <summary>Gets the moments of a stop: the VM is told, it has ended and left the table.</summary>
    public static IReadOnlyList<string> Stop { get; } = ["stop-told", "stop-left"];

    /// <summary>Gets the moments of a save: noted, begun in the table, the file is whole, the table knows, the hypervisor has ended.</summary>
    public static IReadOnlyList<string> Save { get; } = ["move-noted", "move-begun", "save-written", "save-entered", "save-departed"];

    /// <summary>Gets the moments of a restore: the name is taken, the guest is loaded, the table knows, the guest goes on.</summary>
    public static IReadOnlyList<string> Restore { get; } = ["restore-kept", "restore-loaded", "restore-entered", "restore-begun"];

    /// <summary>Gets the moments of a migration at its source.</summary>
    public static IReadOnlyList<string> Migrate { get; } = ["move-noted", "move-begun", "migrate-ready", "migrate-left", "migrate-arrived", "migrate-gone", "migrate-taken"];

    /// <summary>Gets the moments of a migration at its destination.</summary>
    public static IReadOnlyList<string> Receive { get; } = ["receive-kept", "receive-started", "receive-loaded", "receive-entered", "receive-begun"];

    /// <summary>Dies here if this is the moment.</summary>
    public static void Reached(string name)
    {
        if (name == Chosen)
        {
            using var self = Process.GetCurrentProcess();
            self.Kill();
            Thread.Sleep(Timeout.Infinite);
        }
    }
}

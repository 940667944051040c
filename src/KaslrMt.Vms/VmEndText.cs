using KaslrMt.Hypervisors;

namespace KaslrMt.Vms;

/// <summary>Says how a VM ended.</summary>
internal static class VmEndText
{
    /// <summary>Whether the end is a failure, and not what its guest, owner or operator wanted.</summary>
    public static bool IsFailure(VmExit exit) => exit.Reason is ShutdownReason.Unexplained or ShutdownReason.HostError or ShutdownReason.GuestPanic;

    /// <summary>Describes the end in a clause.</summary>
    public static string Describe(VmExit exit)
    {
        string how = exit.Signal is int signal ? $" by signal {signal}" : exit.ExitCode is int code ? $" with exit code {code}" : "";
        string words = exit.LastWords.Length > 0 ? $"; QEMU said: {exit.LastWords}" : "";
        return $"{exit.Reason}{how}{words}";
    }
}

using System.Globalization;
using KaslrMt.Hypervisors.Native;

namespace KaslrMt.Hypervisors;

/// <summary>Ends a QEMU that outlived its owner. It ends only what provably belongs to the folder in question.</summary>
internal static class LeftoverQemu
{
    private const int ExitTimeoutMilliseconds = 10_000;

    /// <summary>Ends the process if it is still the one that was noted, and a QEMU of this folder.</summary>
    internal static void End(int pid, ulong startTime, string folder)
    {
        using ProcessHandle? process = ProcessHandle.TryOpen(pid);

        // Checked after the handle is open: from here on the number cannot be given to another process.
        if (process is not null && IsOf(pid, startTime, folder))
        {
            process.Signal(Linux.SIGKILL);
            process.WaitForExit(ExitTimeoutMilliseconds);
        }
    }

    /// <summary>Ends the QEMU of a folder: the one that was noted, or, where its owner could not note one, any that is of this folder.</summary>
    internal static void EndOf(string folder)
    {
        if (VmFolder.ReadState(folder) is { ProcessId: { } pid, ProcessStartTime: { } start })
        {
            End(pid, start, folder);
        }
        else
        {
            EndAllOf(folder);
        }
    }

    /// <summary>Looks through all processes for a QEMU of this folder and ends it.</summary>
    internal static void EndAllOf(string folder)
    {
        foreach (string entry in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(entry), NumberStyles.None, CultureInfo.InvariantCulture, out int pid)
                && pid != Environment.ProcessId && BelongsTo(pid, folder) && ProcessIdentity.StartTime(pid) is { } start)
            {
                End(pid, start, folder);
            }
        }
    }

    /// <summary>
    /// Returns whether a VM whose owner died is to go on: it is detached, and its QEMU runs, or its guest has reset itself meanwhile, or it has run and
    /// was just being booted anew.
    /// </summary>
    internal static bool GoesOn(VmState? state, string folder) => state is { Detached: true }
        && (state is { ProcessId: { } pid, ProcessStartTime: { } start }
            ? (ProcessIdentity.IsRunning(pid, start) && IsOf(pid, start, folder))
                || (!state.Moving && QemuEventFile.ReadEnd(folder).Reason == ShutdownReason.Reboot)
            : state.Reboots > 0);

    /// <summary>Whether the process that was noted still is this folder's QEMU.</summary>
    internal static bool IsOf(int pid, ulong startTime, string folder) => ProcessIdentity.StartTime(pid) == startTime && BelongsTo(pid, folder);

    // The mark is an argument of its own (QEMU's pid file), spelled in full even where the socket's path had to be shortened.
    private static bool BelongsTo(int pid, string folder) =>
        ProcessIdentity.CommandLine(pid).Split('\0').SkipWhile(argument => argument != "-pidfile").Skip(1).FirstOrDefault() == PidFile(folder);

    /// <summary>The pid file QEMU writes, in the VM's folder.</summary>
    internal static string PidFile(string folder) => Path.Combine(VmFolder.HypervisorPathIn(folder), "qemu.pid");
}

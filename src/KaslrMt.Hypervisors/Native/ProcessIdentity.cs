using System.Globalization;
using System.Text;

namespace KaslrMt.Hypervisors.Native;

/// <summary>What tells one process from a later one of the same number: its start time (<c>/proc/PID/stat</c>, field 22, in ticks).</summary>
internal static class ProcessIdentity
{
    /// <summary>When the process started, in clock ticks since boot, or null when there is no such process.</summary>
    internal static ulong? StartTime(int pid)
    {
        string stat;
        try
        {
            stat = File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/stat"));
        }
        catch (IOException)
        {
            return null;
        }
        catch (UnauthorizedAccessException)
        {
            return null;
        }

        // The second field is the program's name in parentheses and may hold spaces and parentheses: count from the last one.
        string[] fields = stat[(stat.LastIndexOf(')') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return fields.Length > 19 && ulong.TryParse(fields[19], NumberStyles.None, CultureInfo.InvariantCulture, out ulong ticks) ? ticks : null;
    }

    /// <summary>Whether the process that was noted runs: not one that exited and waits for its parent, nor a later one of its number.</summary>
    internal static bool IsRunning(int pid, ulong startTime)
    {
        using ProcessHandle? process = ProcessHandle.TryOpen(pid);
        return process is { IsRunning: true } && StartTime(pid) == startTime;
    }

    /// <summary>The process's arguments, NUL between them; empty when it is gone, a zombie, or not ours to ask.</summary>
    internal static string CommandLine(int pid)
    {
        try
        {
            return Encoding.UTF8.GetString(File.ReadAllBytes(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/cmdline")));
        }
        catch (IOException)
        {
            return "";
        }
        catch (UnauthorizedAccessException)
        {
            return "";
        }
    }
}

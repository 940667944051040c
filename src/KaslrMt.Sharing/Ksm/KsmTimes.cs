using System.Globalization;

namespace KaslrMt.Sharing;

/// <summary>The processor time of KSM's own thread.</summary>
public static class KsmTimes
{
    private const string ThreadName = "ksmd";

    // USER_HZ, fixed at 100 for user space on x86 (include/asm-generic/param.h).
    private const double TicksPerSecond = 100;

    /// <summary>User and system time of <c>ksmd</c> since boot.</summary>
    /// <returns>Null where it cannot be seen: in a container.</returns>
    public static TimeSpan? Read()
    {
        foreach (string folder in Directory.EnumerateDirectories("/proc").Where(folder => char.IsAsciiDigit(Path.GetFileName(folder)[0])))
        {
            try
            {
                if (File.ReadAllText(Path.Combine(folder, "comm")).Trim() == ThreadName)
                {
                    return Parse(File.ReadAllText(Path.Combine(folder, "stat")));
                }
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                // It ended, or is nobody's to see: not the one looked for.
                continue;
            }
        }

        return null;
    }

    /// <summary>Fields 14 and 15 of <c>/proc/PID/stat</c> (proc(5)).</summary>
    internal static TimeSpan? Parse(string stat)
    {
        // The name, field 2, may hold anything but ends with the last parenthesis.
        string[] fields = stat[(stat.LastIndexOf(')') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return fields.Length > 12
            && ulong.TryParse(fields[11], NumberStyles.None, CultureInfo.InvariantCulture, out ulong user)
            && ulong.TryParse(fields[12], NumberStyles.None, CultureInfo.InvariantCulture, out ulong system)
                ? TimeSpan.FromSeconds((user + system) / TicksPerSecond)
                : null;
    }
}

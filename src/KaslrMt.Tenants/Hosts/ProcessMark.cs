using System.Globalization;

namespace KaslrMt.Tenants;

/// <summary>A process that can be told from every other, earlier or later, here or elsewhere.</summary>
/// <param name="Id">The process's number.</param>
/// <param name="StartTime">The time of its start, in clock ticks since boot (<c>/proc/PID/stat</c>, field 22).</param>
/// <param name="BootId"><c>/proc/sys/kernel/random/boot_id</c> while it ran.</param>
/// <param name="PidNamespace">The PID namespace its number belongs to.</param>
public readonly record struct ProcessMark(int Id, ulong StartTime, string BootId, string PidNamespace)
{
    private const string BootIdFile = "/proc/sys/kernel/random/boot_id";
    private const string NamespaceLink = "/proc/self/ns/pid";

    // None of these changes while a process lives, and reading them costs as much as a change of the table.
    private static readonly Lazy<string> BootIdOnce = new(() => File.ReadAllText(BootIdFile).Trim());
    private static readonly Lazy<string> NamespaceOnce = new(() => new FileInfo(NamespaceLink).LinkTarget ?? "");
    private static readonly Lazy<ProcessMark> CurrentOnce = new(() => Of(Environment.ProcessId));

    /// <summary>Gets the mark of this process.</summary>
    public static ProcessMark Current => CurrentOnce.Value;

    /// <summary>Returns the mark of a process of this host.</summary>
    /// <param name="process">The process's number, in our PID namespace.</param>
    public static ProcessMark Of(int process) => new(process, StartOf(process) ?? 0, CurrentBootId, CurrentNamespace);

    /// <summary>Gets this boot's id.</summary>
    public static string CurrentBootId => BootIdOnce.Value;

    private static string CurrentNamespace => NamespaceOnce.Value;

    /// <summary>Returns the mark as text without spaces.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Id},{StartTime},{BootId},{PidNamespace}");

    /// <summary>Reads the text of <see cref="ToString"/>.</summary>
    internal static ProcessMark Parse(string text)
    {
        string[] parts = text.Split(',');
        return parts.Length == 4
            && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int id)
            && ulong.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out ulong start)
            ? new ProcessMark(id, start, parts[2], parts[3])
            : throw new KaslrMtException(TenantErrors.StoreCorrupt, "a process in the tenant table is malformed", "check the whole store");
    }

    /// <summary>Returns whether the process is proven gone. To be asked on the host it ran on; false where nothing can be proven.</summary>
    public bool IsGone()
    {
        if (BootId != CurrentBootId)
        {
            return true;
        }

        // In another container's namespace the same number is another process: no proof.
        return PidNamespace == CurrentNamespace && StartOf(Id) != StartTime;
    }

    /// <summary>Returns whether the process is proven to live. To be asked on the host it ran on; false where nothing can be proven.</summary>
    public bool IsAlive() => BootId == CurrentBootId && PidNamespace == CurrentNamespace && StartOf(Id) == StartTime;

    // Null for none, and for one that has ended and waits for its parent to notice.
    private static ulong? StartOf(int process)
    {
        string stat;
        try
        {
            stat = File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/stat"));
        }
        catch (IOException)
        {
            return null;
        }

        // The program's name stands in parentheses and may hold some itself: count from the last one.
        string[] fields = stat[(stat.LastIndexOf(')') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return fields.Length > 19 && fields[0] is not ("Z" or "X") && ulong.TryParse(fields[19], NumberStyles.None, CultureInfo.InvariantCulture, out ulong ticks)
            ? ticks
            : null;
    }
}

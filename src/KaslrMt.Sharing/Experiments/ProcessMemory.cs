using System.Globalization;

namespace KaslrMt.Sharing;

/// <summary>What the host holds in memory for one hypervisor process, taken apart; from <c>/proc/PID/smaps</c> (Documentation/filesystems/proc.rst). Bytes.</summary>
/// <param name="GuestRam">Proportional share (Pss) of the memory that KSM may merge: the guest's RAM.</param>
/// <param name="TranslatedCode">Pss of memory that is writable and executable: TCG's translated code, which a host with KVM does not have.</param>
/// <param name="Own">Pss of all the rest: the program, its libraries, its heap.</param>
/// <param name="RemovedFiles">Files that have no name any more and live as long as the mapping, by device and inode: their whole size, for in a file system in memory the pages that nobody maps are held too.</param>
public sealed record ProcessMemory(long GuestRam, long TranslatedCode, long Own, IReadOnlyDictionary<string, long> RemovedFiles)
{
    private const int MostLines = 1 << 20;
    private const string Removed = " (deleted)";

    /// <summary>Reads what a process holds.</summary>
    /// <param name="processId">The process.</param>
    /// <returns>Null when the process is gone, or this user may not look.</returns>
    public static ProcessMemory? Read(int processId)
    {
        try
        {
            using var maps = new StreamReader(string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}/smaps"));
            return Parse(maps);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Returns the Pss of a whole process in bytes (<c>smaps_rollup</c>); 0 when the process is gone, or this user may not look.</summary>
    public static long PssOf(int processId)
    {
        try
        {
            return File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}/smaps_rollup"))
                .Where(line => line.StartsWith("Pss:", StringComparison.Ordinal)).Sum(Bytes);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    }

    /// <summary>Parses <c>smaps</c>.</summary>
    internal static ProcessMemory Parse(TextReader maps)
    {
        long guest = 0, code = 0, own = 0, size = 0, proportional = 0;
        string[] header = [];
        string path = "";
        Dictionary<string, long> removed = [];
        for (int i = 0; i < MostLines && maps.ReadLine() is string line; i++)
        {
            string[] words = line.Split(' ', 6, StringSplitOptions.RemoveEmptyEntries);
            if (words.Length >= 5 && words[0].Contains('-', StringComparison.Ordinal) && !words[0].EndsWith(':'))
            {
                (header, path, size, proportional) = (words, words.Length > 5 ? words[5] : "", 0, 0);
            }
            else if (line.StartsWith("Size:", StringComparison.Ordinal))
            {
                size = Bytes(line);
            }
            else if (line.StartsWith("Pss:", StringComparison.Ordinal))
            {
                proportional = Bytes(line);
            }
            else if (line.StartsWith("VmFlags:", StringComparison.Ordinal) && header.Length >= 5)
            {
                bool isWritableCode = header[1].Contains('w', StringComparison.Ordinal) && header[1].Contains('x', StringComparison.Ordinal);
                if (line[8..].Split(' ').Contains("mg"))
                {
                    guest += proportional;
                }
                else if (isWritableCode)
                {
                    code += proportional;
                }
                else if (path.StartsWith('/') && path.EndsWith(Removed, StringComparison.Ordinal))
                {
                    // A file may be mapped in several pieces.
                    string file = $"{header[3]} {header[4]}";
                    removed[file] = removed.GetValueOrDefault(file) + size;
                }
                else
                {
                    own += proportional;
                }
            }
        }

        return new ProcessMemory(guest, code, own, removed);
    }

    private static long Bytes(string line) =>
        long.TryParse(line[(line.IndexOf(':') + 1)..].Replace("kB", "", StringComparison.Ordinal).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out long kibibytes) ? kibibytes << 10 : 0;
}

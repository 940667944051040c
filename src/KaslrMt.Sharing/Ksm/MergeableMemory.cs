using System.Globalization;

namespace KaslrMt.Sharing;

/// <summary>How much a process holds of the memory that KSM may merge, from <c>/proc/PID/smaps</c>. Bytes.</summary>
/// <param name="Size">All of it.</param>
/// <param name="Resident">What is there.</param>
/// <param name="Proportional">The same, each page shared out among those that have it (Pss): the sum over all of them is what the host holds.</param>
public readonly record struct MergeableMemory(long Size, long Resident, long Proportional)
{
    private const int MostLines = 1 << 20;

    /// <summary>Of a process.</summary>
    /// <returns>Nothing when it is gone, or this user may not look.</returns>
    public static MergeableMemory Read(int processId)
    {
        try
        {
            using var maps = new StreamReader(string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}/smaps"));
            return Parse(maps);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return default;
        }
    }

    /// <summary>The sum over some processes.</summary>
    public static MergeableMemory Read(IEnumerable<int> processIds)
    {
        ArgumentNullException.ThrowIfNull(processIds);
        return processIds.Select(Read).Aggregate(default(MergeableMemory), (sum, one) => new(sum.Size + one.Size, sum.Resident + one.Resident, sum.Proportional + one.Proportional));
    }

    /// <summary>The sum over all other processes of the host: what else KSM looks at.</summary>
    public static MergeableMemory ReadAllBut(IReadOnlyCollection<int> processIds) => Read(Directory.EnumerateDirectories("/proc")
        .Select(folder => int.TryParse(Path.GetFileName(folder), NumberStyles.None, CultureInfo.InvariantCulture, out int id) ? id : 0)
        .Where(id => id > 0 && !processIds.Contains(id)));

    /// <summary>Parses <c>smaps</c>.</summary>
    internal static MergeableMemory Parse(TextReader maps)
    {
        MergeableMemory sum = default, one = default;
        for (int i = 0; i < MostLines && maps.ReadLine() is string line; i++)
        {
            if (line.StartsWith("Size:", StringComparison.Ordinal))
            {
                one = new MergeableMemory(Bytes(line), 0, 0);
            }
            else if (line.StartsWith("Rss:", StringComparison.Ordinal))
            {
                one = one with { Resident = Bytes(line) };
            }
            else if (line.StartsWith("Pss:", StringComparison.Ordinal))
            {
                one = one with { Proportional = Bytes(line) };
            }
            else if (line.StartsWith("VmFlags:", StringComparison.Ordinal) && line[8..].Split(' ').Contains("mg"))
            {
                sum = new MergeableMemory(sum.Size + one.Size, sum.Resident + one.Resident, sum.Proportional + one.Proportional);
            }
        }

        return sum;
    }

    private static long Bytes(string line) =>
        long.TryParse(line[(line.IndexOf(':') + 1)..].Replace("kB", "", StringComparison.Ordinal).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out long kibibytes) ? kibibytes << 10 : 0;
}

using System.Globalization;

namespace KaslrMt.Sharing;

/// <summary>What KSM does for one process (<c>/proc/PID/ksm_stat</c>, 6.1 on, and <c>/proc/PID/smaps</c>).</summary>
public sealed record KsmProcess
{
    private const int PageSize = 4096;
    private const int MostLines = 1 << 20;

    /// <summary><c>ksm_merging_pages</c>: pages of the process that are merged.</summary>
    public required long MergingPages { get; init; }

    /// <summary><c>ksm_zero_pages</c>: pages replaced by the zero page; null before 6.6.</summary>
    public long? ZeroPages { get; init; }

    /// <summary><c>ksm_process_profit</c>: bytes saved for this process less what KSM needs for it; null before 6.4.</summary>
    public long? Profit { get; init; }

    /// <summary>Bytes of its memory that KSM may merge.</summary>
    public required long MergeableBytes { get; init; }

    /// <summary>Bytes of its writable memory in the file-backed or shared mappings of 16 MiB and more, which KSM never merges.</summary>
    public required long SharedBytes { get; init; }

    /// <summary>Bytes of its mappings of huge pages (hugetlbfs), which KSM never merges.</summary>
    public required long HugeBytes { get; init; }

    /// <summary>Bytes merged or replaced by the zero page.</summary>
    public long MergedBytes => (MergingPages + (ZeroPages ?? 0)) * PageSize;

    /// <summary>Reads what the kernel says of a process.</summary>
    /// <param name="processId">The process.</param>
    /// <returns>Null when it is gone, or this user may not look.</returns>
    public static KsmProcess? Read(int processId)
    {
        string folder = string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}");
        try
        {
            using var maps = new StreamReader(Path.Combine(folder, "smaps"));
            string stat = Path.Combine(folder, "ksm_stat"), old = Path.Combine(folder, "ksm_merging_pages");
            return Parse(File.Exists(stat) ? File.ReadAllText(stat) : File.Exists(old) ? $"ksm_merging_pages {File.ReadAllText(old)}" : "", maps);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Pages of some processes that are merged (<c>/proc/PID/ksm_merging_pages</c>, 5.19 on).</summary>
    /// <returns>Null when the kernel does not say, or one of them is gone.</returns>
    public static long? MergingPagesOf(IEnumerable<int> processIds)
    {
        ArgumentNullException.ThrowIfNull(processIds);
        try
        {
            return processIds.Sum(id => long.Parse(
                File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{id}/ksm_merging_pages")).Trim(), NumberStyles.None, CultureInfo.InvariantCulture));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Why little or nothing of a VM can be merged; null when all is well.</summary>
    /// <param name="memory">The guest's RAM in bytes.</param>
    public string? Advice(ulong memory)
    {
        // QEMU marks the guest's RAM as mergeable unless told otherwise; its own heap is not.
        if ((ulong)MergeableBytes >= memory / 2)
        {
            return null;
        }

        return HugeBytes >= (long)(memory / 2) ? "its RAM lies in hugetlbfs, which is never merged: use ordinary memory"
            : SharedBytes >= (long)(memory / 2) ? "its RAM is shared memory (share=on, memfd, a file), which is never merged: use private memory"
            : "its RAM is not marked as mergeable: leave out mem-merge=off (-machine) and merge=off (-object memory-backend-…)";
    }

    /// <summary>Parses the two texts.</summary>
    /// <param name="stat"><c>ksm_stat</c>: lines <c>key value</c> and, for some keys, <c>key: value</c>.</param>
    /// <param name="maps"><c>smaps</c>.</param>
    internal static KsmProcess Parse(string stat, TextReader maps)
    {
        Dictionary<string, long> numbers = [];
        foreach (string[] words in stat.Split('\n').Select(line => line.Split([' ', ':', '\t'], StringSplitOptions.RemoveEmptyEntries)))
        {
            if (words.Length == 2 && long.TryParse(words[1], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number))
            {
                numbers[words[0]] = number;
            }
        }

        long mergeable = 0, shared = 0, huge = 0, size = 0;
        for (int i = 0; i < MostLines && maps.ReadLine() is string line; i++)
        {
            if (line.StartsWith("Size:", StringComparison.Ordinal))
            {
                size = long.TryParse(line[5..].Replace("kB", "", StringComparison.Ordinal).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out long kibibytes) ? kibibytes << 10 : 0;
            }
            else if (line.StartsWith("VmFlags:", StringComparison.Ordinal))
            {
                string[] flags = line[8..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
                mergeable += flags.Contains("mg") ? size : 0;
                huge += flags.Contains("ht") ? size : 0;
                shared += flags.Contains("sh") && flags.Contains("wr") && size >= 16 << 20 ? size : 0;
            }
        }

        long? Number(string key) => numbers.TryGetValue(key, out long value) ? value : null;
        return new KsmProcess
        {
            MergingPages = Number("ksm_merging_pages") ?? 0,
            ZeroPages = Number("ksm_zero_pages"),
            Profit = Number("ksm_process_profit"),
            MergeableBytes = mergeable,
            SharedBytes = shared,
            HugeBytes = huge,
        };
    }
}

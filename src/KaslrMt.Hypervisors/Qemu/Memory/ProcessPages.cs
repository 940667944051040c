using System.Globalization;
using System.Runtime.InteropServices;

namespace KaslrMt.Hypervisors;

/// <summary>Which pages of a process the host holds (<c>/proc/PID/pagemap</c>, <c>Documentation/admin-guide/mm/pagemap.rst</c>).</summary>
internal sealed class ProcessPages
{
    private const int EntrySize = sizeof(ulong);
    private const int PageShift = 12;
    private const ulong Step = 2UL << 20;
    private const int StepsAtOnce = 64;

    // Present, or swapped out.
    private const ulong Held = 3UL << 62;

    private readonly byte[] _entries = new byte[StepsAtOnce * (int)(Step >> PageShift) * EntrySize];
    private readonly string _path;

    private ProcessPages(string path) => _path = path;

    /// <summary>Opens it; null when this user may not, or there is none.</summary>
    internal static ProcessPages? Open(int processId)
    {
        string path = string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}/pagemap");
        return File.Exists(path) ? new ProcessPages(path) : null;
    }

    /// <summary>The runs of which a page is held, in steps of 2 MiB; all where the host does not say.</summary>
    /// <param name="range">Guest RAM.</param>
    /// <param name="host">Where in the process it begins, page-aligned.</param>
    internal List<PhysicalRange> Written(PhysicalRange range, ulong host)
    {
        try
        {
            using FileStream file = new(_path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
            return Read(file, range, host);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            // It only saves time.
            return [range];
        }
    }

    private List<PhysicalRange> Read(FileStream file, PhysicalRange range, ulong host)
    {
        List<PhysicalRange> runs = [];
        for (ulong done = 0; done < range.Length; done += StepsAtOnce * Step)
        {
            ulong stretch = Math.Min(StepsAtOnce * Step, range.Length - done);
            Span<byte> bytes = _entries.AsSpan(0, (int)(stretch >> PageShift) * EntrySize);
            file.Position = (long)((host + done) >> PageShift) * EntrySize;
            file.ReadExactly(bytes);
            ReadOnlySpan<ulong> entries = MemoryMarshal.Cast<byte, ulong>(bytes);
            for (ulong step = 0; step < stretch; step += Step)
            {
                ulong length = Math.Min(Step, stretch - step);
                if (IsHeld(entries.Slice((int)(step >> PageShift), (int)(length >> PageShift))))
                {
                    Add(runs, new PhysicalRange(range.Start + done + step, length));
                }
            }
        }

        return runs;
    }

    private static bool IsHeld(ReadOnlySpan<ulong> entries)
    {
        foreach (ulong entry in entries)
        {
            if ((entry & Held) != 0)
            {
                return true;
            }
        }

        return false;
    }

    private static void Add(List<PhysicalRange> runs, PhysicalRange range)
    {
        if (runs.Count > 0 && runs[^1].End == range.Start)
        {
            runs[^1] = runs[^1] with { Length = runs[^1].Length + range.Length };
        }
        else
        {
            runs.Add(range);
        }
    }
}

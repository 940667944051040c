namespace KaslrMt.Guests;

/// <summary>Numbers the pages of a guest's RAM from 0 up, leaving out the gaps between its ranges.</summary>
public sealed class PageFrames
{
    /// <summary>Most pages: 4 TiB of RAM, an array of 1 GiB.</summary>
    public const int MaxCount = 1 << 30;

    private const int PageShift = 12;

    private readonly Run[] _runs;

    /// <summary>Numbers them. Parts of a page at a range's ends are left out.</summary>
    /// <exception cref="KaslrMtException">KMT5022 for more than <see cref="MaxCount"/>.</exception>
    public PageFrames(IReadOnlyList<PhysicalRange> ranges)
    {
        ArgumentNullException.ThrowIfNull(ranges);
        var runs = new List<Run>();
        ulong count = 0;
        foreach (PhysicalRange range in ranges)
        {
            ulong first = (range.Start.Value + PageCensus.PageSize - 1) >> PageShift;
            ulong end = range.End.Value >> PageShift;
            if (first < end)
            {
                runs.Add(new Run(first, end - first, (int)count));
                count += end - first;
            }

            if (count > MaxCount)
            {
                throw new KaslrMtException(GuestErrors.ModuleTooLarge, $"the guest has more than 4 TiB of RAM", "its pages are not counted");
            }
        }

        _runs = [.. runs];
        Count = (int)count;
    }

    /// <summary>How many pages there are.</summary>
    public int Count { get; }

    /// <summary>The runs of pages that follow one another in RAM.</summary>
    internal ReadOnlySpan<Run> Runs => _runs;

    /// <summary>A page's number; −1 for an address that is not RAM.</summary>
    public int IndexOf(PhysicalAddress address) => IndexOf(address.Value >> PageShift);

    /// <summary>The first byte of a page.</summary>
    /// <param name="index">Its number, 0 to <see cref="Count"/> − 1.</param>
    public PhysicalAddress AddressOf(int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
        Run run = Array.FindLast(_runs, candidate => candidate.Index <= index);
        return new PhysicalAddress((run.Frame + (ulong)(index - run.Index)) << PageShift);
    }

    /// <summary>The number of a page by the kernel's own count (PFN); −1 for one that is not RAM.</summary>
    internal int IndexOf(ulong frame)
    {
        // A guest has one to three ranges.
        foreach (ref readonly Run run in _runs.AsSpan())
        {
            if (frame - run.Frame < run.Count)
            {
                return run.Index + (int)(frame - run.Frame);
            }
        }

        return -1;
    }

    /// <summary>The numbers of the whole pages in a part of RAM: runs, each from its first number to behind its last.</summary>
    internal IEnumerable<(int Start, int End)> Within(PhysicalRange part)
    {
        ulong first = (part.Start.Value + PageCensus.PageSize - 1) >> PageShift, end = part.End.Value >> PageShift;
        foreach (Run run in _runs)
        {
            ulong from = Math.Max(first, run.Frame), to = Math.Min(end, run.Frame + run.Count);
            if (from < to)
            {
                yield return (run.Index + (int)(from - run.Frame), run.Index + (int)(to - run.Frame));
            }
        }
    }

    /// <summary>Pages that follow one another in RAM.</summary>
    /// <param name="Frame">The kernel's number of the first (PFN).</param>
    /// <param name="Count">How many.</param>
    /// <param name="Index">Our number of the first.</param>
    internal readonly record struct Run(ulong Frame, ulong Count, int Index);
}

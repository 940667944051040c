namespace KaslrMt.Guests;

/// <summary>Tells addresses of RAM from others, many millions of times.</summary>
internal sealed class RamMap(IReadOnlyList<PhysicalRange> ranges)
{
    private readonly PhysicalRange[] _ranges = [.. ranges];

    /// <summary>Bytes of RAM.</summary>
    public ulong Size => _ranges.Aggregate(0UL, (sum, range) => sum + range.Length);

    /// <summary>Whether the whole page at an address is RAM.</summary>
    public bool HoldsPage(ulong address)
    {
        foreach (PhysicalRange range in _ranges)
        {
            if (range.Contains(new PhysicalAddress(address), PageTableWalk.PageSize))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Places a fixed distance apart at which at least a page is RAM, ascending.</summary>
    /// <param name="step">The distance, bytes, a power of two; places are multiples of it.</param>
    public IEnumerable<PhysicalAddress> Every(ulong step)
    {
        foreach (PhysicalRange range in _ranges)
        {
            ulong first = (range.Start.Value + step - 1) & ~(step - 1);
            for (ulong at = first; range.Contains(new PhysicalAddress(at), PageTableWalk.PageSize); at += step)
            {
                yield return new PhysicalAddress(at);
            }
        }
    }
}

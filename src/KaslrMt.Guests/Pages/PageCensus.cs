using System.Runtime.InteropServices;

namespace KaslrMt.Guests;

/// <summary>How many pages of each class a guest has.</summary>
public sealed class PageCensus
{
    /// <summary>Bytes of a page.</summary>
    public const int PageSize = 4096;

    private readonly long[] _counts = new long[PageClassNames.All.Count];

    internal PageCensus(ReadOnlySpan<PageClass> pages)
    {
        // Neighbours are mostly of one class: eight equal ones are counted at once.
        ReadOnlySpan<ulong> eights = MemoryMarshal.Cast<PageClass, ulong>(pages);
        foreach (ulong eight in eights)
        {
            if (eight == (eight & 0xff) * 0x0101010101010101)
            {
                _counts[eight & 0xff] += sizeof(ulong);
            }
            else
            {
                for (int shift = 0; shift < 64; shift += 8)
                {
                    _counts[(eight >> shift) & 0xff]++;
                }
            }
        }

        foreach (PageClass page in pages[(eights.Length * sizeof(ulong))..])
        {
            _counts[(int)page]++;
        }

        Total = pages.Length;
    }

    /// <summary>Pages of all classes: all of the guest's RAM.</summary>
    public long Total { get; }

    /// <summary>Pages of a class.</summary>
    public long this[PageClass pageClass] => _counts[(int)pageClass];
}

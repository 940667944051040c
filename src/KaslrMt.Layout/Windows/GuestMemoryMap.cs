using System.Collections.Immutable;
using System.Globalization;

namespace KaslrMt.Layout;

/// <summary>What guest-physical memory holds at boot: RAM, and the parts of it that are taken.</summary>
public sealed class GuestMemoryMap
{
    /// <summary>Most ranges of either kind. A zero page holds 128 e820 entries (<c>Documentation/arch/x86/zero-page.rst</c>).</summary>
    public const int MaximumRanges = 128;

    private const ulong PhysicalLimit = 1UL << 52;

    /// <summary>A memory map; ranges may come in any order.</summary>
    /// <param name="ram">
    /// RAM as the guest's e820 will list it. Must not overlap; neighbours stay two ranges, as for the stock kernel.
    /// </param>
    /// <param name="reserved">
    /// What the kernel must not be placed on: initrd, ACPI tables, the monitor's structures. May overlap; empty ones are ignored.
    /// </param>
    /// <exception cref="KaslrMtException">KMT1203: no RAM, too many ranges, a range beyond 2^52, or RAM ranges that overlap.</exception>
    public GuestMemoryMap(IEnumerable<PhysicalRange> ram, IEnumerable<PhysicalRange> reserved)
    {
        ArgumentNullException.ThrowIfNull(ram);
        ArgumentNullException.ThrowIfNull(reserved);
        Ram = Sorted(ram, "RAM");
        Reserved = Merged(Sorted(reserved, "reserved"));
        if (Ram.IsEmpty)
        {
            throw Invalid("the guest memory map has no RAM");
        }

        for (int i = 1; i < Ram.Length; i++)
        {
            if (Ram[i].Start < Ram[i - 1].End)
            {
                throw Invalid($"the guest memory map's RAM ranges {Ram[i - 1]} and {Ram[i]} overlap");
            }
        }
    }

    /// <summary>RAM, ascending.</summary>
    public ImmutableArray<PhysicalRange> Ram { get; }

    /// <summary>What is taken, ascending and merged.</summary>
    public ImmutableArray<PhysicalRange> Reserved { get; }

    /// <summary>The address behind the last byte of RAM.</summary>
    public PhysicalAddress RamEnd => Ram[^1].End;

    /// <summary>All RAM in bytes.</summary>
    public ByteSize RamSize => new(Ram.Aggregate(0UL, (sum, range) => sum + range.Length));

    /// <summary>Bytes of direct map: the end of RAM rounded up to whole TiB, and 10 TiB. <c>physmem_end</c> becomes this minus 1.</summary>
    public ulong DirectMapSize => Round.Up(RamEnd.Value, ByteSize.TiB) + AddressSpace.DirectMapPadding;

    /// <summary>RAM that is not taken, ascending: each stretch lies inside one RAM range.</summary>
    public IEnumerable<PhysicalRange> Free()
    {
        foreach (PhysicalRange range in Ram)
        {
            PhysicalAddress start = range.Start;
            foreach (PhysicalRange taken in Reserved)
            {
                if (taken.Start >= range.End || taken.End <= start)
                {
                    continue;
                }

                if (taken.Start > start)
                {
                    yield return new PhysicalRange(start, taken.Start - start);
                }

                start = taken.End;
            }

            if (start < range.End)
            {
                yield return new PhysicalRange(start, range.End - start);
            }
        }
    }

    private static ImmutableArray<PhysicalRange> Sorted(IEnumerable<PhysicalRange> ranges, string kind)
    {
        // One more than allowed is enough to refuse an endless sequence.
        PhysicalRange[] taken = [.. ranges.Take(MaximumRanges + 1)];
        if (taken.Length > MaximumRanges)
        {
            throw Invalid(string.Create(CultureInfo.InvariantCulture, $"the guest memory map has more than {MaximumRanges} {kind} ranges"));
        }

        foreach (PhysicalRange range in taken)
        {
            if (range.Start.Value > PhysicalLimit || range.Length > PhysicalLimit - range.Start.Value)
            {
                throw Invalid($"the guest memory map's {kind} range at {range.Start} ends beyond 2^52");
            }
        }

        return [.. taken.Where(range => range.Length != 0).OrderBy(range => range.Start)];
    }

    private static ImmutableArray<PhysicalRange> Merged(ImmutableArray<PhysicalRange> sorted)
    {
        var merged = new List<PhysicalRange>(sorted.Length);
        foreach (PhysicalRange range in sorted)
        {
            if (merged.Count > 0 && range.Start <= merged[^1].End)
            {
                PhysicalAddress end = range.End > merged[^1].End ? range.End : merged[^1].End;
                merged[^1] = merged[^1] with { Length = end - merged[^1].Start };
            }
            else
            {
                merged.Add(range);
            }
        }

        return [.. merged];
    }

    private static KaslrMtException Invalid(string problem) =>
        new(LayoutErrors.MemoryMapInvalid, problem, "describe the guest's memory as its e820 table will");
}

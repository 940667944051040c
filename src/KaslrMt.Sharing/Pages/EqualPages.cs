using System.Buffers;
using System.Diagnostics;
using KaslrMt.Guests;

namespace KaslrMt.Sharing;

/// <summary>Groups the pages of several guests by content.</summary>
/// <remarks>
/// <para>
/// Fingerprints group; then each page is compared with the first of its group byte by byte, because a fingerprint can be forged by who writes a
/// guest's memory, and because a running guest goes on writing. Pages of zeros need no second look.
/// </para>
/// <para>Memory: about 33 bytes for each page that is not zero; 100 guests of 256 MiB take 220 MB at most.</para>
/// </remarks>
internal sealed partial class EqualPages
{
    private const int PageSize = PageCensus.PageSize;
    private const int BatchPages = 128;

    private readonly IReadOnlyList<GuestPages> _guests;
    private readonly int[] _starts;

    // All pages that are not zero, by fingerprint: the fingerprints' low halves, and the pages' numbers over all guests.
    private readonly ulong[] _keys;
    private readonly int[] _pages;

    // By position in _pages: whether the page starts a group.
    private readonly bool[] _first;

    private EqualPages(IReadOnlyList<GuestPages> guests)
    {
        _guests = guests;
        _starts = new int[guests.Count + 1];
        int count = 0;
        for (int guest = 0; guest < guests.Count; guest++)
        {
            _starts[guest + 1] = checked(_starts[guest] + guests[guest].Frames.Count);
            foreach (ref readonly PageFingerprint page in guests[guest].Fingerprints)
            {
                count += page == PageFingerprint.Zero ? 0 : 1;
            }
        }

        _keys = new ulong[count];
        _pages = new int[count];
        _first = new bool[count];
    }

    /// <summary>Pages whose bytes differed from those of the group their fingerprint put them in.</summary>
    public long Changed { get; private set; }

    /// <summary>Groups the pages.</summary>
    /// <param name="guests">The guests.</param>
    /// <param name="compareBytes">False where the memories are gone: fingerprints alone count then.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="KaslrMtException">KMT50xx when a guest goes away.</exception>
    public static EqualPages Group(IReadOnlyList<GuestPages> guests, bool compareBytes, CancellationToken cancellationToken)
    {
        var equal = new EqualPages(guests);
        equal.Sort();
        if (compareBytes)
        {
            equal.Confirm(cancellationToken);
        }

        return equal;
    }

    /// <summary>Counts.</summary>
    public SharingTable Count()
    {
        int[] tenants = TenantNumbers();
        int tenantCount = tenants.Length == 0 ? 0 : tenants.Max() + 1;
        var counter = new Counter(tenantCount);
        for (int guest = 0; guest < _guests.Count; guest++)
        {
            ReadOnlySpan<PageFingerprint> fingerprints = _guests[guest].Fingerprints;
            ReadOnlySpan<PageClass> classes = _guests[guest].Classes;
            for (int page = 0; page < fingerprints.Length; page++)
            {
                if (fingerprints[page] == PageFingerprint.Zero)
                {
                    counter.AddZero(classes[page], tenants[guest], guest);
                }
            }
        }

        counter.EndGroup();
        for (int i = 0; i < _pages.Length; i++)
        {
            if (_first[i])
            {
                counter.EndGroup();
            }

            int guest = GuestOf(_pages[i]);
            counter.Add(_guests[guest].Classes[_pages[i] - _starts[guest]], tenants[guest], guest);
        }

        counter.EndGroup();
        return counter.Table(Changed);
    }

    private int[] TenantNumbers()
    {
        Dictionary<string, int> known = [];
        var numbers = new int[_guests.Count];
        int next = 0;
        for (int guest = 0; guest < numbers.Length; guest++)
        {
            if (_guests[guest].Tenant is not string tenant)
            {
                numbers[guest] = next++;
            }
            else if (!known.TryGetValue(tenant, out numbers[guest]))
            {
                known[tenant] = numbers[guest] = next++;
            }
        }

        return numbers;
    }

    private int GuestOf(int page)
    {
        int found = Array.BinarySearch(_starts, page);

        // Guests without any page share their start with the next.
        if (found < 0)
        {
            return ~found - 1;
        }

        while (found + 1 < _starts.Length && _starts[found + 1] == page)
        {
            found++;
        }

        return found;
    }

    private PageFingerprint FingerprintOf(int page)
    {
        int guest = GuestOf(page);
        return _guests[guest].Fingerprints[page - _starts[guest]];
    }

    private void Sort()
    {
        int at = 0;
        for (int guest = 0; guest < _guests.Count; guest++)
        {
            ReadOnlySpan<PageFingerprint> fingerprints = _guests[guest].Fingerprints;
            for (int page = 0; page < fingerprints.Length; page++)
            {
                if (fingerprints[page] != PageFingerprint.Zero)
                {
                    _keys[at] = fingerprints[page].Low;
                    _pages[at++] = _starts[guest] + page;
                }
            }
        }

        Debug.Assert(at == _pages.Length, "a fingerprint changed");
        Array.Sort(_keys, _pages);
        for (int i = 0; i < _keys.Length;)
        {
            int end = i + 1;
            while (end < _keys.Length && _keys[end] == _keys[i])
            {
                end++;
            }

            SortGroup(i, end);
            i = end;
        }
    }

    // Pages whose low halves are equal: by high half (hardly ever more than one), then by number, so that the first is the same in every run.
    private void SortGroup(int start, int end)
    {
        Span<int> group = _pages.AsSpan(start, end - start);
        _first[start] = true;
        if (group.Length == 1)
        {
            return;
        }

        group.Sort();
        ulong high = FingerprintOf(group[0]).High;
        bool mixed = false;
        foreach (int page in group[1..])
        {
            mixed |= FingerprintOf(page).High != high;
        }

        if (mixed)
        {
            group.Sort((left, right) => (FingerprintOf(left).High, left).CompareTo((FingerprintOf(right).High, right)));
            for (int i = 1; i < group.Length; i++)
            {
                _first[start + i] = FingerprintOf(group[i]).High != FingerprintOf(group[i - 1]).High;
            }
        }
    }

    /// <summary>Compares each page with the first of its group; one that differs becomes a group of its own.</summary>
    private void Confirm(CancellationToken cancellationToken)
    {
        // By the place of each group's first page, so that neighbours are read together, and a first page once for all of its group.
        int[] groups = [.. Enumerable.Range(0, _pages.Length).Where(i => _first[i] && i + 1 < _pages.Length && !_first[i + 1])];
        int[] leaders = Array.ConvertAll(groups, i => _pages[i]);
        Array.Sort(leaders, groups);
        var differs = new bool[_starts[^1]];
        var options = new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount, CancellationToken = cancellationToken };

        // Unlike ForEach, this ends with the guest's own error, not with one around it.
        Parallel.ForEachAsync(Batches(leaders), options, (batch, cancellationToken) =>
        {
            Confirm(leaders.AsSpan(batch), groups.AsSpan(batch), differs, cancellationToken);
            return ValueTask.CompletedTask;
        }).GetAwaiter().GetResult();
        Changed = differs.Count(changed => changed);
        if (Changed > 0)
        {
            Separate(differs);
        }
    }

    /// <summary>Runs of pages of one guest, as long as a batch may be.</summary>
    private IEnumerable<Range> Batches(int[] pages)
    {
        for (int start = 0; start < pages.Length;)
        {
            int guestEnd = _starts[GuestOf(pages[start]) + 1], end = start + 1;
            while (end < pages.Length && end - start < BatchPages && pages[end] < guestEnd)
            {
                end++;
            }

            yield return start..end;
            start = end;
        }
    }

    private void Confirm(ReadOnlySpan<int> leaders, ReadOnlySpan<int> groups, bool[] differs, CancellationToken cancellationToken)
    {
        List<(int Page, int Leader)> members = [];
        for (int leader = 0; leader < leaders.Length; leader++)
        {
            for (int i = groups[leader] + 1; i < _pages.Length && !_first[i]; i++)
            {
                members.Add((_pages[i], leader));
            }
        }

        // By guest, and by place in its memory.
        members.Sort();
        int[] pages = [.. members.Select(member => member.Page)];
        byte[] first = ArrayPool<byte>.Shared.Rent(BatchPages * PageSize), own = ArrayPool<byte>.Shared.Rent(BatchPages * PageSize);
        try
        {
            Read(leaders, first);
            foreach (Range batch in Batches(pages))
            {
                // A content that fills the guests makes one group of all their pages.
                cancellationToken.ThrowIfCancellationRequested();
                Read(pages.AsSpan(batch), own);
                for (int i = batch.Start.Value; i < batch.End.Value; i++)
                {
                    differs[pages[i]] = !own.AsSpan((i - batch.Start.Value) * PageSize, PageSize).SequenceEqual(first.AsSpan(members[i].Leader * PageSize, PageSize));
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(first);
            ArrayPool<byte>.Shared.Return(own);
        }
    }

    private void Read(ReadOnlySpan<int> pages, byte[] destination)
    {
        int guest = GuestOf(pages[0]);
        Span<PhysicalAddress> addresses = stackalloc PhysicalAddress[BatchPages];
        for (int i = 0; i < pages.Length; i++)
        {
            addresses[i] = _guests[guest].Frames.AddressOf(pages[i] - _starts[guest]);
        }

        _guests[guest].Memory.ReadEach(addresses[..pages.Length], PageSize, destination);
    }

    private void Separate(bool[] differs)
    {
        for (int start = 0; start < _pages.Length;)
        {
            int end = start + 1;
            while (end < _pages.Length && !_first[end])
            {
                end++;
            }

            // Those that still agree stay in front, in their order; each of the others is its own.
            Span<int> group = _pages.AsSpan(start, end - start);
            int[] changed = [.. group.ToArray().Where(page => differs[page])];
            if (changed.Length > 0)
            {
                int[] kept = [.. group.ToArray().Where(page => !differs[page])];
                kept.CopyTo(group);
                changed.CopyTo(group[kept.Length..]);
                _first.AsSpan(start + kept.Length, changed.Length).Fill(true);
            }

            start = end;
        }
    }
}

using System.Runtime.InteropServices;

namespace KaslrMt.Guests;

/// <summary>The tables of one level that one table above leads to, read together; one of them is being walked.</summary>
/// <param name="level">0 for tables of 4 KiB pages.</param>
/// <param name="from">The first address of interest.</param>
/// <param name="to">The last, inclusive.</param>
internal sealed class TableRow(int level, ulong from, ulong to)
{
    private readonly int _shift = 12 + (PageTableWalk.IndexBits * level);
    private PhysicalAddress[] _places = [];
    private byte[] _tables = [];
    private int _table;
    private int _entry;
    private int _end;
    private ulong _base;
    private ulong _rights;

    /// <summary>Reads the top table alone and enters it.</summary>
    public void ReadRoot(IGuestMemory memory, PhysicalAddress root, ulong address)
    {
        _tables = new byte[PageTableWalk.PageSize];
        _ = memory.TryRead(root, _tables);
        _table = -1;
        EnterNext(address, PageTableWalk.FullRights);
    }

    /// <summary>Reads all tables that the current table of the row above leads to, within the range. One outside RAM maps nothing.</summary>
    /// <returns>How many there are.</returns>
    public int ReadBelow(IGuestMemory memory, TableRow above)
    {
        int count = 0;
        if (_places.Length == 0)
        {
            _places = new PhysicalAddress[PageTableWalk.EntriesPerTable];
        }

        ReadOnlySpan<ulong> entries = above.Entries;
        for (int i = above._entry; i < above._end; i++)
        {
            if ((entries[i] & PageTableWalk.Present) != 0 && !PageTableWalk.IsLeaf(level + 1, entries[i]))
            {
                _places[count++] = new PhysicalAddress(entries[i] & PageTableWalk.AddressMask);
            }
        }

        if (_tables.Length < count * PageTableWalk.PageSize)
        {
            _tables = GC.AllocateUninitializedArray<byte>(count * PageTableWalk.PageSize);
        }

        memory.ReadEach(_places.AsSpan(0, count), PageTableWalk.PageSize, _tables.AsSpan(0, count * PageTableWalk.PageSize));
        _table = -1;
        return count;
    }

    /// <summary>Goes on to the next of the tables.</summary>
    /// <param name="address">The first address it maps.</param>
    /// <param name="rights">What the entries that led to it allow: the flags for writing, users, and no execution.</param>
    public void EnterNext(ulong address, ulong rights)
    {
        _rights = rights;
        _table++;
        _base = address;
        ulong last = address + (((ulong)PageTableWalk.EntriesPerTable << _shift) - 1);
        _entry = from <= address ? 0 : from > last ? PageTableWalk.EntriesPerTable : (int)((from - address) >> _shift);
        _end = to < address ? 0 : to >= last ? PageTableWalk.EntriesPerTable : (int)((to - address) >> _shift) + 1;
    }

    /// <summary>The next entry of the current table that is present and within the range.</summary>
    public bool TryNext(out ulong address, out ulong entry, out ulong rights)
    {
        rights = _rights;
        ReadOnlySpan<ulong> entries = Entries;
        while (_entry < _end)
        {
            int index = _entry++;
            entry = entries[index];
            if ((entry & PageTableWalk.Present) != 0)
            {
                address = _base + ((ulong)index << _shift);
                return true;
            }
        }

        address = entry = 0;
        return false;
    }

    // x86 words on an x86 host.
    private ReadOnlySpan<ulong> Entries =>
        MemoryMarshal.Cast<byte, ulong>(_tables.AsSpan(_table * PageTableWalk.PageSize, PageTableWalk.PageSize));
}

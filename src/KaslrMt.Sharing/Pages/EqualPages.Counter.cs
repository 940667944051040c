using KaslrMt.Guests;

namespace KaslrMt.Sharing;

internal sealed partial class EqualPages
{
    /// <summary>Counts group by group.</summary>
    private sealed class Counter
    {
        private const int AllRow = 13;
        private const int KernelRow = 14;
        private const int Rows = 15;
        private const int Nobody = -1;
        private const int Several = -2;

        private readonly PageTally[] _tallies = [.. Enumerable.Range(0, Rows).Select(_ => new PageTally())];
        private readonly int _tenants;

        // For the current group: pages by row and tenant, and which of those are not 0.
        private readonly int[] _counts;
        private readonly List<int> _touched = [];

        // By row: the guest of the group's pages, or Several.
        private readonly int[] _owners = new int[Rows];

        public Counter(int tenants)
        {
            _tenants = Math.Max(tenants, 1);
            _counts = new int[Rows * _tenants];
            _owners.AsSpan().Fill(Nobody);
        }

        public void AddZero(PageClass pageClass, int tenant, int guest)
        {
            Add(pageClass, tenant, guest);
            _tallies[(int)pageClass].Zero++;
            _tallies[AllRow].Zero++;
            _tallies[KernelRow].Zero += pageClass <= PageClass.Vmemmap ? 1 : 0;
        }

        public void Add(PageClass pageClass, int tenant, int guest)
        {
            Add((int)pageClass, tenant, guest);
            Add(AllRow, tenant, guest);
            if (pageClass <= PageClass.Vmemmap)
            {
                Add(KernelRow, tenant, guest);
            }
        }

        public void EndGroup()
        {
            // Sorted by row, so that a row's tenants follow one another.
            _touched.Sort();
            for (int i = 0; i < _touched.Count;)
            {
                int row = _touched[i] / _tenants;
                PageTally tally = _tallies[row];
                int owners = 0, all = 0;
                for (; i < _touched.Count && _touched[i] / _tenants == row; i++, owners++)
                {
                    int pages = _counts[_touched[i]];
                    all += pages;
                    tally.WithinTenants += pages - 1;
                    _counts[_touched[i]] = 0;
                }

                tally.Pages += all;
                tally.Unique += _owners[row] == Several ? 0 : all;
                _owners[row] = Nobody;
                tally.Distinct++;
                tally.AcrossTenants += owners - 1;
            }

            _touched.Clear();
        }

        public SharingTable Table(long changed) => new([.. _tallies[..AllRow]], _tallies[AllRow], _tallies[KernelRow], changed);

        private void Add(int row, int tenant, int guest)
        {
            _owners[row] = _owners[row] == Nobody || _owners[row] == guest ? guest : Several;
            int index = (row * _tenants) + tenant;
            if (_counts[index]++ == 0)
            {
                _touched.Add(index);
            }
        }
    }
}

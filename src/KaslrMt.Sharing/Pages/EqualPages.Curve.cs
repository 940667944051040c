using KaslrMt.Guests;

namespace KaslrMt.Sharing;

internal sealed partial class EqualPages
{
    /// <summary>Counts for the first 1, 2, … guests at once: a content is new with the first guest that has it.</summary>
    public SharingCurve Curve()
    {
        var kernelPages = new long[_guests.Count];
        var kernelNew = new long[_guests.Count];
        var allNew = new long[_guests.Count];
        int zeroKernel = int.MaxValue, zeroAll = int.MaxValue;
        for (int guest = 0; guest < _guests.Count; guest++)
        {
            ReadOnlySpan<PageFingerprint> fingerprints = _guests[guest].Fingerprints;
            ReadOnlySpan<PageClass> classes = _guests[guest].Classes;
            for (int page = 0; page < fingerprints.Length; page++)
            {
                bool kernel = IsKernel(classes[page]);
                kernelPages[guest] += kernel ? 1 : 0;
                if (fingerprints[page] == PageFingerprint.Zero)
                {
                    zeroAll = Math.Min(zeroAll, guest);
                    zeroKernel = kernel ? Math.Min(zeroKernel, guest) : zeroKernel;
                }
            }
        }

        int firstKernel = zeroKernel, firstAll = zeroAll;
        for (int i = 0; i < _pages.Length; i++)
        {
            if (_first[i])
            {
                AddNew(firstKernel, firstAll);
                (firstKernel, firstAll) = (int.MaxValue, int.MaxValue);
            }

            // Members that changed stand behind the others: the order of a group says nothing.
            int guest = GuestOf(_pages[i]);
            firstAll = Math.Min(firstAll, guest);
            firstKernel = IsKernel(_guests[guest].Classes[_pages[i] - _starts[guest]]) ? Math.Min(firstKernel, guest) : firstKernel;
        }

        AddNew(firstKernel, firstAll);
        var points = new SharingCurve.Point[_guests.Count];
        SharingCurve.Point sum = new(0, 0, 0, 0, 0);
        for (int guest = 0; guest < points.Length; guest++)
        {
            sum = new SharingCurve.Point(
                guest + 1, sum.KernelPages + kernelPages[guest], sum.KernelDistinct + kernelNew[guest], sum.AllPages + _guests[guest].Frames.Count, sum.AllDistinct + allNew[guest]);
            points[guest] = sum;
        }

        return new SharingCurve([.. points]);

        void AddNew(int kernel, int all)
        {
            if (kernel != int.MaxValue)
            {
                kernelNew[kernel]++;
            }

            if (all != int.MaxValue)
            {
                allNew[all]++;
            }
        }
    }

    private static bool IsKernel(PageClass pageClass) => pageClass <= PageClass.Vmemmap;
}

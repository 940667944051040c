using FsCheck;
using FsCheck.Fluent;

namespace KaslrMt.Layout.Tests;

/// <summary>Random memory maps and kernels, on byte boundaries no monitor would choose.</summary>
internal static class SampleMaps
{
    internal static Arbitrary<GuestMemoryMap> Arbitrary() => Maps().ToArbitrary();

    internal static Arbitrary<KernelGeometry> Kernels() =>
        (from size in Gen.Choose(1, 120 << 20)
         from alignment in Gen.Elements(2u, 4u, 8u, 16u)
         select KernelGeometry.Usual((ulong)size, alignment << 20)).ToArbitrary();

    /// <summary>Maps in which at least one kernel of 120 MiB and any alignment fits.</summary>
    internal static Arbitrary<GuestMemoryMap> Roomy() => Maps()
        .Select(map => new GuestMemoryMap([.. map.Ram, SampleVms.Range(8 * ByteSize.GiB, ByteSize.GiB)], map.Reserved))
        .ToArbitrary();

    private static Gen<GuestMemoryMap> Maps() =>
        from gaps in Gen.Choose(0, 100 << 20).ArrayOf(4)
        from lengths in Gen.Choose(0, 400 << 20).ArrayOf(4)
        from reserved in (from start in Gen.Choose(0, 1 << 30)
                          from length in Gen.Choose(0, 50 << 20)
                          select SampleVms.Range((ulong)start, (ulong)length)).ArrayOf(5)
        from count in Gen.Choose(0, 5)
        select Build(gaps, lengths, reserved[..count]);

    private static GuestMemoryMap Build(int[] gaps, int[] lengths, PhysicalRange[] reserved)
    {
        var ram = new List<PhysicalRange>();
        ulong at = 0;
        foreach ((int gap, int length) in gaps.Zip(lengths))
        {
            ram.Add(SampleVms.Range(at += (ulong)gap, (ulong)length + 1));
            at += (ulong)length + 1;
        }

        return new GuestMemoryMap(ram, reserved);
    }
}

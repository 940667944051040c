using System.Globalization;

namespace KaslrMt.Layout.Tests;

/// <summary>What a key gives is a promise (see the head of <c>Golden/layouts-v1.txt</c>): these vectors never change.</summary>
public class GoldenTests
{
    [Fact]
    public void Keys_and_seeds_give_the_layouts_they_always_gave()
    {
        string[] lines = [.. Lines()];
        Assert.True(lines.Length >= 344);
        var policies = new HashSet<(string, string)>();
        foreach (string line in lines)
        {
            string[] column = line.Split(' ');
            using var key = TenantKey.Parse(column[2]);
            using var seed = VmSeed.FromHex(column[3]);
            var kernel = KernelGeometry.Usual(
                ulong.Parse(column[4], CultureInfo.InvariantCulture), uint.Parse(column[5], CultureInfo.InvariantCulture));
            using KernelLayout layout = LayoutPlanner.Plan(
                kernel,
                new GuestMemoryMap(Ranges(column[6]), Ranges(column[7])),
                Policy.Parse(column[1]),
                key,
                seed,
                AddressProducers.Parse(column[0]));
            Assert.Equal(column[8..], layout.Regions.Select(region => region.Base.ToString("x16", CultureInfo.InvariantCulture)));
            policies.Add((column[0], column[1]));
        }

        Assert.Equal(2 * 64, policies.Count);
    }

    [Fact]
    public void The_papers_first_three_numbers_are_sha1_of_key_key_plus_1_and_key_plus_2()
    {
        // printf 0xf32v46a2k3y | sha1sum, and the same for ...z and ...{; the first eight bytes, read as x86 reads them.
        using var key = TenantKey.Parse("0xf32v46a2k3y");
        Assert.Equal(0x8824cb0cd40c421f, AddressProducers.Paper.DrawSlot(key, Region.KernelVirtual, ulong.MaxValue));
        Assert.Equal(0xaa741866366015da, AddressProducers.Paper.DrawSlot(key, Region.Vmemmap, ulong.MaxValue));
        Assert.Equal(0xd7ea72a378f012a2, AddressProducers.Paper.DrawSlot(key, Region.Modules, ulong.MaxValue));
    }

    private static IEnumerable<PhysicalRange> Ranges(string text) => text == "-" ? [] : text.Split(',').Select(range =>
    {
        ulong[] numbers = [.. range.Split('+').Select(number => ulong.Parse(number, NumberStyles.HexNumber, CultureInfo.InvariantCulture))];
        return SampleVms.Range(numbers[0], numbers[1]);
    });

    private static IEnumerable<string> Lines()
    {
        using Stream resource = typeof(GoldenTests).Assembly.GetManifestResourceStream("layouts-v1.txt")!;
        using var reader = new StreamReader(resource);
        while (reader.ReadLine() is { } line)
        {
            if (!line.StartsWith('#'))
            {
                yield return line;
            }
        }
    }
}

namespace KaslrMt.Layout.Tests;

/// <summary>
/// Every draw is uniform in its window, and regions tell nothing about each other. Keys and seeds are counted: no run differs.
/// </summary>
public class UniformityTests
{
    // 7/8 of 2^64: a plain modulo gives the lowest seventh of these slots twice as often as the others.
    private const ulong BiasedSlots = 7UL << 61;

    public static TheoryData<string, string> Draws => new()
    {
        { "111111", "hkdf" },
        { "111111", "paper" },
        { "000000", "hkdf" },
        { "110010", "hkdf" },
    };

    [Theory]
    [MemberData(nameof(Draws))]
    public void Every_region_is_uniform_and_every_pair_of_regions_is_independent(string policy, string producer)
    {
        var sample = new DrawSample(Policy.Parse(policy), AddressProducers.Parse(producer));
        foreach (Region region in LayoutNames.Regions)
        {
            foreach (bool upper in (bool[])[true, false])
            {
                var uniform = new ChiSquare(64);
                foreach ((ulong slot, ulong slots) in sample[region])
                {
                    uniform.Observe(slot, slots, upper);
                }

                Assert.True(uniform.IsUniform(), $"{region}, {(upper ? "upper" : "lower")} part: {uniform}");
            }
        }

        foreach (Region one in LayoutNames.Regions)
        {
            foreach (Region other in LayoutNames.Regions.Where(other => other > one))
            {
                double deviate = Dependence(sample[one], sample[other]);
                Assert.True(Math.Abs(deviate) < 6, $"{one} and {other}: {deviate:F2} standard deviations");
            }
        }
    }

    [Theory]
    [InlineData(Region.KernelVirtual, "hkdf")]
    [InlineData(Region.KernelVirtual, "paper")]
    [InlineData(Region.Modules, "hkdf")]
    [InlineData(Region.Modules, "paper")]
    public void Slot_by_slot_the_small_windows_are_uniform(Region region, string producer)
    {
        int slots = region == Region.Modules ? 1024 : 479;
        var uniform = new ChiSquare(slots);
        for (int i = 0; i < 50_000; i++)
        {
            using TenantKey key = SampleVms.Key(i);
            uniform.Observe((int)AddressProducers.Parse(producer).DrawSlot(key, region, (ulong)slots));
        }

        Assert.True(uniform.IsUniform(), uniform.ToString());
    }

    [Fact]
    public void Where_a_modulo_bias_can_be_seen_hkdf_has_none_and_the_paper_has_it()
    {
        Assert.True(Biased(AddressProducers.Default).IsUniform(), Biased(AddressProducers.Default).ToString());
        Assert.False(Biased(AddressProducers.Paper).IsUniform());
    }

    [Fact]
    public void The_statistics_see_a_draw_that_is_slightly_uneven_or_too_even()
    {
        var uneven = new ChiSquare(479);
        var even = new ChiSquare(479);
        var random = new Random(2019);
        for (int i = 0; i < 100_000; i++)
        {
            uneven.Observe(random.Next(1 << 12) % 479);
            even.Observe(i % 479);
        }

        Assert.False(uneven.IsUniform());
        Assert.False(even.IsUniform());
    }

    [Fact]
    public void The_statistics_see_two_regions_that_share_a_stream()
    {
        var draws = new DrawSample(Policy.Parse("111111"), AddressProducers.Default);
        (ulong Slot, ulong Slots)[] related = [.. draws[Region.Vmemmap].Select(draw => ((draw.Slot / 3) + 7, draw.Slots))];
        Assert.True(Dependence(draws[Region.Vmemmap], related) > 6);
    }

    [Fact]
    public void Kernels_of_neighbouring_sizes_get_bases_that_tell_nothing_about_each_other()
    {
        var one = new List<(ulong, ulong)>();
        var other = new List<(ulong, ulong)>();
        for (int i = 0; i < DrawSample.Size; i++)
        {
            using TenantKey key = SampleVms.Key(i);
            one.Add((AddressProducers.Default.DrawSlot(key, Region.KernelVirtual, 479), 479));
            other.Add((AddressProducers.Default.DrawSlot(key, Region.KernelVirtual, 477), 477));
        }

        Assert.True(Math.Abs(Dependence(one, other)) < 6);
    }

    [Fact]
    public void A_key_and_its_neighbour_are_related_in_the_papers_chain_and_not_in_hkdf()
    {
        using var key = TenantKey.Parse("0xf32v46a2k3y");
        using var next = TenantKey.Parse("0xf32v46a2k3z");
        const ulong Slots = 1UL << 40;
        Assert.Equal(AddressProducers.Paper.DrawSlot(key, Region.Vmemmap, Slots),
            AddressProducers.Paper.DrawSlot(next, Region.KernelVirtual, Slots));
        ulong[] ofKey = [.. LayoutNames.Regions.Select(region => AddressProducers.Default.DrawSlot(key, region, Slots))];
        ulong[] ofNext = [.. LayoutNames.Regions.Select(region => AddressProducers.Default.DrawSlot(next, region, Slots))];
        Assert.Equal(12, ofKey.Concat(ofNext).Distinct().Count());
    }

    [Fact]
    public void The_same_bytes_as_key_and_as_seed_give_unrelated_slots()
    {
        int same = 0;
        for (int i = 0; i < 2000; i++)
        {
            using TenantKey key = SampleVms.Key(i);
            using var seed = VmSeed.FromHex(Convert.ToHexString(key.Reveal()));
            ulong ofKey = AddressProducers.Default.DrawSlot(key, Region.Vmemmap, 1UL << 32);
            same += ofKey == HkdfDraw.Slot(seed.Reveal(), Scope.PerVm, Region.Vmemmap, 1UL << 32) ? 1 : 0;
        }

        Assert.Equal(0, same);
    }

    private static ChiSquare Biased(IAddressProducer producer)
    {
        var counts = new ChiSquare(64);
        for (int i = 0; i < 10_000; i++)
        {
            using TenantKey key = SampleVms.Key(i);
            counts.Observe(producer.DrawSlot(key, Region.Vmemmap, BiasedSlots), BiasedSlots, upper: true);
        }

        return counts;
    }

    /// <summary>Chi-square test of independence over an 8 × 8 table of where in their windows two bases lie.</summary>
    private static double Dependence(IReadOnlyList<(ulong Slot, ulong Slots)> one, IReadOnlyList<(ulong Slot, ulong Slots)> other)
    {
        const int Parts = 8;
        double[,] table = new double[Parts, Parts];
        double[] rows = new double[Parts];
        double[] columns = new double[Parts];
        for (int i = 0; i < one.Count; i++)
        {
            int row = (int)(one[i].Slot * Parts / one[i].Slots);
            int column = (int)(other[i].Slot * Parts / other[i].Slots);
            table[row, column]++;
            rows[row]++;
            columns[column]++;
        }

        var independent = new ChiSquare(Parts * Parts);
        for (int row = 0; row < Parts; row++)
        {
            for (int column = 0; column < Parts; column++)
            {
                independent.Observe((row * Parts) + column, table[row, column]);
                independent.Expect((row * Parts) + column, rows[row] * columns[column] / one.Count);
            }
        }

        return independent.Deviate((Parts - 1) * (Parts - 1));
    }
}

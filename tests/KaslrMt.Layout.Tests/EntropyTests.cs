using Xunit.Abstractions;

namespace KaslrMt.Layout.Tests;

/// <summary>Nothing is lost against the stock kernel: its entropy, exactly, beside ours.</summary>
public class EntropyTests(ITestOutputHelper output)
{
    private static readonly Region[] MemoryRegions = [Region.Physmap, Region.Vmalloc, Region.Vmemmap];

    public static TheoryData<long> MemorySizes => [128, 256, 512, 1024, 3584, 4096, 16384, 65536, 1 << 20];

    [Theory]
    [MemberData(nameof(MemorySizes))]
    public void Every_region_has_at_least_the_stock_entropy_even_to_who_knows_the_others(long mib)
    {
        GuestMemoryMap memory = SampleVms.Pc((ulong)mib * ByteSize.MiB);
        KernelGeometry[] kernels = [SampleVms.Kernel61, SampleVms.Kernel612, KernelGeometry.Usual(57_575_404, 16 << 20)];
        foreach (KernelGeometry kernel in kernels)
        {
            if (mib == 128 && kernel.Alignment > 2 << 20)
            {
                continue;
            }

            KaslrEntropy stock = StockKaslr.EntropyOf(kernel, memory, StockDirectMap.ZoneDevice);
            foreach (Policy policy in PoliciesThatDiffer())
            {
                KaslrEntropy ours = LayoutEntropy.Of(kernel, memory, policy);
                Assert.All(LayoutNames.Regions.Except([Region.KernelPhysical]), region =>
                    Assert.True(ours[region].Least >= stock[region].Marginal - 1e-9, $"{policy} {region}"));
                Assert.True(ours.JointMemory > stock.JointMemory + 3);
                Assert.True(ours.Joint > stock.Joint);
                Assert.All(MemoryRegions, region => Assert.True(ours[region].Marginal >= ours[region].Conditional - 1e-9));
            }

            ulong slots = new RegionWindow(Region.KernelPhysical, AvailableRanges.KernelPhysical(kernel, memory, Scope.PerVm)).Slots;
            Assert.True(slots >= 0.95 * StockKaslr.PhysicalSlots(kernel, memory));
        }
    }

    [Fact]
    public void At_the_memory_limit_every_region_still_has_the_stock_entropy()
    {
        var memory = new GuestMemoryMap([SampleVms.Range(0, AddressSpace.MaximumRamEnd)], []);
        KaslrEntropy stock = StockKaslr.EntropyOf(SampleVms.Kernel61, memory, StockDirectMap.ZoneDevice);
        foreach (Policy policy in PoliciesThatDiffer())
        {
            KaslrEntropy ours = LayoutEntropy.Of(SampleVms.Kernel61, memory, policy);
            Assert.All(MemoryRegions, region => Assert.True(ours[region].Least >= stock[region].Marginal));
        }

        var more = new GuestMemoryMap([SampleVms.Range(0, AddressSpace.MaximumRamEnd + 1)], []);
        SampleVms.Fails(LayoutErrors.MemoryTooLarge, () => LayoutEntropy.Of(SampleVms.Kernel61, more, default));
    }

    [Fact]
    public void The_figures_that_the_documents_quote_are_these()
    {
        GuestMemoryMap memory = SampleVms.Pc(512 * ByteSize.MiB);
        KaslrEntropy ours = LayoutEntropy.Of(SampleVms.Kernel612, memory, Policy.Default);
        KaslrEntropy stock = StockKaslr.EntropyOf(SampleVms.Kernel612, memory, StockDirectMap.ZoneDevice);
        KaslrEntropy padded = StockKaslr.EntropyOf(SampleVms.Kernel612, memory, StockDirectMap.Padded);
        (string, KaslrEntropy)[] all = [("ours", ours), ("stock", stock), ("stock without ZONE_DEVICE", padded)];
        foreach ((string name, KaslrEntropy entropy) in all)
        {
            output.WriteLine($"{name}: physmap, vmalloc, vmemmap together {entropy.JointMemory:F3} bits, all six {entropy.Joint:F3} bits");
            foreach (RegionEntropy region in entropy.Regions)
            {
                output.WriteLine($"  {region.Region.Name()}: {region.Marginal:F3} alone, {region.Conditional:F3} given the earlier");
                output.WriteLine($"    at least {region.Least:F3}");
            }
        }

        Assert.Equal(45.370, ours.JointMemory, 3);
        Assert.Equal(39.500, stock.JointMemory, 3);
        Assert.Equal(45.026, padded.JointMemory, 3);
        Assert.Equal(15, ours[Region.Vmemmap].Least, 9);
        Assert.Equal(Math.Log2(20992), ours[Region.Vmalloc].Least, 9);
        Assert.Equal(Math.Log2(21504), ours[Region.Physmap].Least, 9);
        Assert.Equal(Math.Log2(477), ours[Region.KernelVirtual].Marginal, 9);
    }

    [Fact]
    public void The_stock_loop_is_computed_as_a_walk_through_all_its_outcomes_finds()
    {
        // 20.5 GiB in place of 20.5 TiB: small enough to walk through, and its last slots are cut short as the real ones are.
        foreach (ulong remaining in (ulong[])[20 * ByteSize.GiB + ByteSize.GiB / 2, 7 * ByteSize.GiB, 11 * ByteSize.GiB + 12345])
        {
            RegionEntropy[] computed = StockKaslr.Memory(remaining);
            var outcomes = new Dictionary<Bases, double>();
            Walk(remaining, 0, [], 1.0, outcomes);
            Assert.Equal(1, outcomes.Values.Sum(), 9);
            Assert.Equal(Entropy(outcomes.Values), computed.Sum(region => region.Conditional), 9);
            Assert.Equal(Entropy(Totals(outcomes, outcome => outcome.Physmap)), computed[0].Marginal, 9);
            Assert.Equal(Entropy(Totals(outcomes, outcome => outcome.Vmalloc)), computed[1].Marginal, 9);
            Assert.Equal(Entropy(Totals(outcomes, outcome => outcome.Vmemmap)), computed[2].Marginal, 9);
        }
    }

    [Fact]
    public void Drawn_layouts_have_the_windows_that_the_entropy_was_computed_from()
    {
        const int Layouts = 20_000;
        foreach (Policy policy in (Policy[])[Policy.Default, Policy.Parse("001000"), Policy.Parse("000100")])
        {
            KaslrEntropy expected = LayoutEntropy.Of(SampleVms.Kernel61, SampleVms.Pc(512 * ByteSize.MiB), policy);
            double[] bits = new double[LayoutNames.Regions.Length];
            for (int i = 0; i < Layouts; i++)
            {
                using KernelLayout layout = SampleVms.Plan(policy, key: i, seed: i);
                foreach (RegionLayout region in layout.Regions)
                {
                    bits[(int)region.Region] += region.EntropyBits / Layouts;
                    Assert.True(region.EntropyBits >= expected[region.Region].Least);
                }
            }

            Assert.All(LayoutNames.Regions, region => Assert.Equal(expected[region].Conditional, bits[(int)region], 0.01));
        }
    }

    [Fact]
    public void Stock_physical_slots_are_counted_as_the_decompressor_counts()
    {
        // By hand from the source's loop, in MiB: RAM to 512, 10 taken at 400, a kernel of 52 from 16 on.
        var memory = new GuestMemoryMap([SampleVms.Range(0, 512 * ByteSize.MiB)], [SampleVms.Range(400 * ByteSize.MiB, 10 * ByteSize.MiB)]);
        ulong below = 1 + ((400 - 16 - 52) / 2);
        ulong above = 1 + ((512 - 410 - 52) / 2);
        Assert.Equal(below + above, StockKaslr.PhysicalSlots(SampleVms.Kernel61, memory));
        Assert.Equal(0UL, StockKaslr.PhysicalSlots(SampleVms.Kernel61, SampleVms.Pc(64 * ByteSize.MiB)));
    }

    // Only the scopes of physmap, vmalloc and vmemmap change windows; the others repeat these eight.
    private static IEnumerable<Policy> PoliciesThatDiffer() => Policy.All.Where(policy =>
        ((Region[])[Region.KernelPhysical, Region.KernelVirtual, Region.Modules]).All(region => policy.ScopeOf(region) == Scope.PerVm));

    private static void Walk(ulong remaining, ulong at, ulong[] bases, double probability, Dictionary<Bases, double> outcomes)
    {
        if (bases.Length == 3)
        {
            outcomes[new Bases(bases[0], bases[1], bases[2])] = probability;
            return;
        }

        ulong entropy = remaining / (ulong)(3 - bases.Length);
        for (ulong offset = 0; offset <= entropy; offset += ByteSize.GiB)
        {
            double hits = Math.Min(ByteSize.GiB, entropy - offset + 1);
            Walk(remaining - offset, at + offset, [.. bases, at + offset], probability * hits / (entropy + 1.0), outcomes);
        }
    }

    private static IEnumerable<double> Totals(Dictionary<Bases, double> outcomes, Func<Bases, ulong> part) =>
        outcomes.GroupBy(outcome => part(outcome.Key), outcome => outcome.Value, (_, probabilities) => probabilities.Sum());

    private static double Entropy(IEnumerable<double> probabilities) =>
        -probabilities.Sum(probability => probability * Math.Log2(probability));

    private readonly record struct Bases(ulong Physmap, ulong Vmalloc, ulong Vmemmap);
}

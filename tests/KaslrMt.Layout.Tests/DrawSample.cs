namespace KaslrMt.Layout.Tests;

/// <summary>Many layouts of one policy, for statistics: the slot and the number of slots of every region.</summary>
internal sealed class DrawSample
{
    internal const int Size = 20_000;

    private readonly Dictionary<Region, (ulong Slot, ulong Slots)[]> _draws =
        LayoutNames.Regions.ToDictionary(region => region, _ => new (ulong, ulong)[Size]);

    internal DrawSample(Policy policy, IAddressProducer producer)
    {
        GuestMemoryMap memory = SampleVms.Pc(16 * ByteSize.GiB);
        for (int i = 0; i < Size; i++)
        {
            using KernelLayout layout = SampleVms.Plan(policy, key: i, seed: i, memory, producer: producer);
            foreach (RegionLayout region in layout.Regions)
            {
                _draws[region.Region][i] = (region.Slot, region.Slots);
            }
        }
    }

    internal IReadOnlyList<(ulong Slot, ulong Slots)> this[Region region] => _draws[region];
}

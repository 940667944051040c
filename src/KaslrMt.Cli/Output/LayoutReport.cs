using System.Globalization;
using KaslrMt.Guests;
using KaslrMt.Layout;

namespace KaslrMt.Cli.Output;

/// <summary>A layout as the command shows it: six bases, their scope, slots and entropy.</summary>
internal sealed record LayoutReport(string Policy, bool Link, IReadOnlyList<LayoutReport.RegionRow> Regions, LayoutReport.EntropyRow Entropy)
{
    /// <summary>One region; the base is the run-time address of its first byte, kernel-physical's a guest-physical one.</summary>
    internal sealed record RegionRow(string Name, string Scope, string Base, ulong Slots, double EntropyBits, double StockEntropyBits);

    /// <summary>The joint entropy of physmap, vmalloc and vmemmap in bits, and what the stock kernel's own KASLR has.</summary>
    internal sealed record EntropyRow(double JointBits, double StockJointBits);

    /// <summary>The report of a layout.</summary>
    public static LayoutReport Of(KernelLayout layout, KernelGeometry kernel, GuestMemoryMap memory)
    {
        // Distribution kernels have CONFIG_ZONE_DEVICE, so the stock kernel reserves all 64 TiB for its direct map.
        KaslrEntropy stock = StockKaslr.EntropyOf(kernel, memory, StockDirectMap.ZoneDevice);
        double joint = layout.IsLink ? 0 : LayoutEntropy.Of(kernel, memory, layout.Policy).JointMemory;
        return new LayoutReport(
            layout.Policy.ToString(),
            layout.IsLink,
            [.. layout.Regions.Select(region => new RegionRow(
                region.Region.Name(),
                region.Scope.Name(),
                string.Create(CultureInfo.InvariantCulture, $"0x{region.Base:x16}"),
                region.Slots,
                Math.Round(region.EntropyBits, 1),
                Math.Round(stock[region.Region].Marginal, 1)))],
            new EntropyRow(Math.Round(joint, 1), Math.Round(stock.JointMemory, 1)));
    }
}

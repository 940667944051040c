using System.Globalization;
using System.Text;
using KaslrMt.Guests;
using KaslrMt.Lab.Experiments;
using KaslrMt.Layout;

namespace KaslrMt.Lab.Html.Sections;

/// <summary>A picture of the kernel's address space: where regions may lie, and where they do for two tenants with two VMs each, made up for the picture.</summary>
internal static class AddressSpaceSection
{
    private const ulong GuestMemory = 2 * ByteSize.GiB;

    // As large as Debian's 6.1 cloud kernel, roughly.
    private const ulong KernelSize = 56 * ByteSize.MiB;

    // No VM has ever had these: a picture must not show a running one's layout.
    private static readonly (string Tenant, string Key)[] Tenants = [("tenant A", "Ma4e-f0r-a-pIcture"), ("tenant B", "n0-Tenant's-eIther")];

    /// <summary>Adds it to a page.</summary>
    public static void Add(HtmlPage page)
    {
        var kernel = KernelGeometry.Usual(KernelSize);
        var memory = new GuestMemoryMap([PhysicalRange.Between(0, GuestMemory)], []);
        KaslrEntropy entropy = LayoutEntropy.Of(kernel, memory, Policy.Default);
        List<(string Lane, KernelLayout Layout)> lanes = [];
        try
        {
            foreach ((string tenant, string text) in Tenants)
            {
                using TenantKey key = TenantKey.Parse(text);
                for (int vm = 1; vm <= 2; vm++)
                {
                    lanes.Add((string.Create(CultureInfo.InvariantCulture, $"{tenant}, VM {vm}"), Plan(kernel, memory, key, string.Create(CultureInfo.InvariantCulture, $"{tenant}/{vm}"))));
                }
            }

            Add(page, kernel, memory, entropy, lanes);
        }
        finally
        {
            lanes.ForEach(lane => lane.Layout.Dispose());
        }
    }

    private static KernelLayout Plan(KernelGeometry kernel, GuestMemoryMap memory, TenantKey key, string vm)
    {
        string digest = Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(Encoding.ASCII.GetBytes(vm)));
        using VmSeed seed = VmSeed.FromHex(digest);
        return LayoutPlanner.Plan(kernel, memory, Policy.Default, key, seed, AddressProducers.Default);
    }

    private static void Add(HtmlPage page, KernelGeometry kernel, GuestMemoryMap memory, KaslrEntropy entropy, List<(string Lane, KernelLayout Layout)> lanes)
    {
        page.Section("The address space", $"policy {Policy.Default}: two tenants with two VMs each");
        page.Paragraph(
            $"Where the six regions of a guest with {new ByteSize(GuestMemory)} may lie, and where they lie in four layouts. The keys were made for this picture: they are no tenant's, and the layouts no running VM's. "
            + "What is filled is the tenant's: both of its VMs have it at the same place. What is hatched is a VM's own.");
        ulong start = AddressSpace.Start.Value;
        Panel(page, "physmap, vmalloc and vmemmap share the 117.5 TiB from 0xffff888000000000 to 0xfffffe0000000000.", lanes, "TiB above 0xffff888000000000", start, AddressSpace.End.Value, ByteSize.TiB, [
            new Part(Region.Physmap, memory.DirectMapSize, start, AddressSpace.End.Value - AddressSpace.VmemmapSize - AddressSpace.VmallocSize),
            new Part(Region.Vmalloc, AddressSpace.VmallocSize, AddressSpace.LowestVmalloc.Value, AddressSpace.End.Value - AddressSpace.VmemmapSize),
            new Part(Region.Vmemmap, AddressSpace.VmemmapSize, AddressSpace.LowestVmemmap.Value, AddressSpace.End.Value)]);
        ulong map = AddressSpace.KernelMap.Value, modules = kernel.ModulesStart.Value;
        Panel(page, "The kernel's text and data lie in the GiB above 0xffffffff80000000, below the modules.", lanes, "MiB above 0xffffffff80000000", map, modules, ByteSize.MiB, [
            new Part(Region.KernelVirtual, kernel.ImageSize, kernel.LinkBase.Value, modules)]);
        ulong room = (AddressSpace.ModulesSlots + 1) * AddressSpace.PageSize;
        Panel(page, "The first module may lie at one of 1,024 pages above 0xffffffffc0000000; the others follow it.", lanes, "KiB above 0xffffffffc0000000", modules, modules + room, ByteSize.KiB, [
            new Part(Region.Modules, 16 * AddressSpace.PageSize, modules + AddressSpace.PageSize, modules + room)]);
        Panel(page, "In the guest's physical memory the kernel lies at any 2 MiB above 16 MiB.", lanes, "MiB of physical memory", 0, GuestMemory, ByteSize.MiB, [
            new Part(Region.KernelPhysical, kernel.MappedSize, kernel.PreferredPhysical.Value, GuestMemory)]);
        AddTable(page, entropy, lanes);
    }

    private static void AddTable(HtmlPage page, KaslrEntropy entropy, List<(string Lane, KernelLayout Layout)> lanes)
    {
        var table = new HtmlTable("The layouts of the picture", ["region", "scope", ">bits", .. lanes.Select(lane => $">{lane.Lane}")]);
        foreach (Region region in Enum.GetValues<Region>())
        {
            table.Row([
                region.Name(),
                lanes[0].Layout[region].Scope.Name(),
                entropy[region].Marginal.ToString("0.0", CultureInfo.InvariantCulture),
                .. lanes.Select(lane => new HtmlCell(new VirtualAddress(lane.Layout[region].Base).ToString(), Style: "address"))]);
        }

        page.Table(table);
    }

    private static void Panel(HtmlPage page, string caption, List<(string Lane, KernelLayout Layout)> lanes, string across, ulong from, ulong to, ulong unit, Part[] parts) => page.Figure(
        caption,
        id => new SpaceChart(
            id,
            caption,
            [.. lanes.Select(lane => lane.Lane)],
            [.. parts.Select(part => new SpaceChart.Window(part.Region.Name(), (part.First - from) / (double)unit, (part.End - from) / (double)unit))],
            [.. lanes.SelectMany(lane => parts.Select(part => Box(lane.Lane, lane.Layout[part.Region], part.Size, from, unit)))],
            across,
            0,
            (to - from) / (double)unit));

    private static SpaceChart.Box Box(string lane, RegionLayout region, ulong size, ulong from, ulong unit) => new(
        lane,
        region.Region.Name(),
        (region.Base - from) / (double)unit,
        (region.Base - from + size) / (double)unit,
        region.Scope == Scope.PerTenant,
        new VirtualAddress(region.Base).ToString());

    /// <summary>A region in a panel.</summary>
    /// <param name="Region">The region.</param>
    /// <param name="Size">Its bytes.</param>
    /// <param name="First">The lowest address it can have.</param>
    /// <param name="End">The address behind the highest.</param>
    private sealed record Part(Region Region, ulong Size, ulong First, ulong End);
}

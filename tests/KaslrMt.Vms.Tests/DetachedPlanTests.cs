using System.Text;
using KaslrMt.Kernels;
using KaslrMt.Layout;
using KaslrMt.Vms;

namespace KaslrMt.Vms.Tests;

public sealed class DetachedPlanTests
{
    // A VM that reboots under another supervisor must find its modules where the tenant's other VMs have them.
    [Theory]
    [InlineData(ModuleAddresses.ByName)]
    [InlineData(ModuleAddresses.ByOrder)]
    public void A_detached_vm_boots_again_with_its_modules_placed_as_before(ModuleAddresses modules)
    {
        using LayoutRequest again = DetachedPlan.Of(Plan(modules)).ToRequest(null, null, null);
        Assert.Equal(modules, again.Modules);
    }

    [Fact]
    public void A_plan_of_an_earlier_version_places_them_by_order()
    {
        string text = Encoding.UTF8.GetString(Plan(ModuleAddresses.ByName)).Replace("moduleAddresses", "unknown", StringComparison.Ordinal);
        using LayoutRequest again = DetachedPlan.Of(Encoding.UTF8.GetBytes(text)).ToRequest(null, null, null);
        Assert.Equal(ModuleAddresses.ByOrder, again.Modules);
    }

    // Its kernel would leave other pages behind after a reboot than before.
    [Theory]
    [InlineData(FreePages.Kept)]
    [InlineData(FreePages.Zeroed)]
    public void A_detached_vm_boots_again_with_free_pages_as_before(FreePages pages)
    {
        using var scratch = new Scratch();
        using VmFolder folder = RuntimeDirectory.Open(scratch.At("run")).Claim("web1");
        Assert.Equal(pages, DetachedPlan.Of(Plan(ModuleAddresses.ByOrder, pages)).ToOptions(folder).FreePages);
        string earlier = Encoding.UTF8.GetString(Plan(ModuleAddresses.ByOrder, pages)).Replace("freePages", "unknown", StringComparison.Ordinal);
        Assert.Equal(FreePages.Kept, DetachedPlan.Of(Encoding.UTF8.GetBytes(earlier)).ToOptions(folder).FreePages);
    }

    private static byte[] Plan(ModuleAddresses modules, FreePages pages = FreePages.Kept)
    {
        using var request = new LayoutRequest
        {
            Memory = new ByteSize(256 * ByteSize.MiB),
            Machine = QemuMachine.Q35,
            Line = GuestCommandLine.Parse(""),
            Policy = Policy.Default,
            Producer = AddressProducers.Default,
            Key = null,
            Seed = null,
            Modules = modules,
        };
        var options = new RunOptions { Name = "web1", Kernel = "vmlinuz", Accelerator = AcceleratorChoice.Decide(Accelerator.Tcg), FreePages = pages };
        return DetachedPlan.Of(options, request, DetachedPlan.NoConsole).ToBytes();
    }
}

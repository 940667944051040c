using KaslrMt.BootTests.Running;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;

namespace KaslrMt.BootTests;

/// <summary>The generic and real-time flavours, under their own KASLR, are read as their guests describe themselves, and nothing is wrong in them.</summary>
public sealed class FlavourTests : IDisposable
{
    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("6.1-generic", "max", 1)]
    [InlineData("6.1-rt", "qemu64", 2)]
    [InlineData("6.12-generic", "qemu64", 2)]
    [InlineData("6.12-rt", "max", 1)]
    public async Task A_guest_of_another_flavour_is_read_and_clean(string name, string processor, int cpus)
    {
        await using StockGuest guest = await StockGuest.StartAsync(
            _scratch, name, monitor: false, arguments: ["-machine", "q35", "-cpu", processor, "-m", "512M", "-smp", $"{cpus}"]);
        using QemuMemory memory = QemuMemory.Open(guest.ProcessId);
        GuestKernel kernel = GuestKernel.Find(memory);
        GuestView view = guest.View;
        Assert.True(view.Text == kernel.VirtualBase.Value && view.Code == kernel.PhysicalBase.Value, "the text is not where the guest says");
        Assert.True(kernel.TryReadWord(kernel.Symbol("vmalloc_base")!.Value, out ulong vmalloc) && vmalloc == view.Vmalloc, "vmalloc is not where the guest says");
        Assert.True(kernel.TryReadWord(kernel.Symbol("vmemmap_base")!.Value, out ulong vmemmap) && vmemmap == view.Vmemmap, "vmemmap is not where the guest says");

        GuestModules modules = GuestModules.Read(kernel);
        Assert.Null(modules.Problem);
        Assert.True(Assert.Single(modules.InLoadOrder).Address!.Value.Value == view.ReloadedModule, "the module is not where the guest says");
        PageMap map = PageMap.Classify(kernel, modules);
        Assert.True(map.IsComplete);
        Assert.Equal(512L << 20, map.Census.Total * PageCensus.PageSize);
        Assert.All([PageClass.KernelCode, PageClass.ModuleCode, PageClass.Slab, PageClass.Free], found => Assert.NotEqual(0, map.Census[found]));

        using KernelImage image = KernelImage.Open(TestKernels.Image(name));
        AuditCheck[] checks = [.. AuditCheckRegistry.BuiltIn.Where(check => !check.NeedsSecrets)];
        IReadOnlyList<AuditOutcome> outcomes = GuestAudit.Run(new AuditSubject(kernel) { Image = image }, checks);
        Assert.All(outcomes, outcome => Assert.Null(outcome.NotDone));
        Assert.Empty(outcomes.SelectMany(outcome => outcome.Findings).Select(finding => $"{finding.Check} {finding.Where} {finding.What}"));
    }
}

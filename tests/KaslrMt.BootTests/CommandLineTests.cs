using KaslrMt.BootTests.Running;
using KaslrMt.Layout;

namespace KaslrMt.BootTests;

/// <summary>What the guest's command line says about the layout.</summary>
public sealed class CommandLineTests : IDisposable
{
    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("6.1-cloud")]
    [InlineData("6.12-cloud")]
    public async Task Nokaslr_gives_the_link_layout_and_the_kernel_knows(string kernel)
    {
        GuestPlan plan = new() { Kernel = kernel, Append = "nokaslr", Then = "exit 0", Seed = TestSecrets.Seed("nokaslr") };
        await using TestGuest guest = await TestGuest.StartAsync(_scratch, plan);
        IReadOnlyDictionary<Region, ulong> bases = await Agreement.CheckAsync(guest, plan);
        Assert.Equal(0x1000000u, bases[Region.KernelPhysical]);
        Assert.Equal(0xffffffff81000000, bases[Region.KernelVirtual]);
        Assert.Equal(0xffff888000000000, bases[Region.Physmap]);
        Assert.Equal(0xffffc90000000000, bases[Region.Vmalloc]);
        Assert.Equal(0xffffea0000000000, bases[Region.Vmemmap]);
        Assert.Equal(0xffffffffc0000000, bases[Region.Modules]);
        await guest.WaitForConsoleAsync("Kernel Offset: disabled");
    }

    [Theory]
    [InlineData("6.1-cloud", "microvm")]
    [InlineData("6.12-cloud", "q35")]
    public async Task A_panic_prints_the_slide_so_the_kernel_believes_it_was_randomized(string kernel, string machine)
    {
        GuestPlan plan = new() { Kernel = kernel, Machine = machine, Then = "exit 0", Seed = TestSecrets.Seed("panic") };
        await using TestGuest guest = await TestGuest.StartAsync(_scratch, plan);
        IReadOnlyDictionary<Region, ulong> bases = await Agreement.CheckAsync(guest, plan);
        await guest.WaitForConsoleAsync("Attempted to kill init!");
        await guest.WaitForConsoleAsync($"Kernel Offset: 0x{bases[Region.KernelVirtual] - 0xffffffff81000000:x} from 0xffffffff81000000");
    }

    [Fact]
    public async Task Kaslr_mt_is_obeyed_and_the_guest_does_not_see_it()
    {
        GuestPlan plan = new() { Policy = "001101", Tenant = "typed", Seed = TestSecrets.Seed("kaslr_mt") };
        GuestPlan typed = plan with { Policy = "110010", Tenant = "not used", Append = $"before kaslr_mt={TestSecrets.Key("typed")}-001101 after" };
        await using TestGuest guest = await TestGuest.StartAsync(_scratch, typed);
        IReadOnlyDictionary<Region, ulong> bases = await Agreement.CheckAsync(guest, typed);
        Assert.Equal("console=ttyS0 quiet no_timer_check before after", guest.View().CommandLine);
        Assert.DoesNotContain("before", guest.QemuCommandLine, StringComparison.Ordinal);
        Assert.DoesNotContain(TestSecrets.Key("typed"), guest.QemuCommandLine, StringComparison.Ordinal);

        // The same as with the key and the policy given otherwise.
        IReadOnlyDictionary<Region, ulong> given = await Agreement.BootAndCheckAsync(_scratch, plan);
        Assert.All(LayoutNames.Regions, region => Assert.Equal(given[region], bases[region]));
    }
}

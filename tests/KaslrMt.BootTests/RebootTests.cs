using KaslrMt.BootTests.Running;
using KaslrMt.Layout;

namespace KaslrMt.BootTests;

/// <summary>A guest that reboots is started anew with bases of its own, and nobody has to do anything.</summary>
public sealed class RebootTests : IDisposable
{
    private const int Boots = 3;

    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("6.1-cloud", "q35")]
    [InlineData("6.12-cloud", "pc")]
    [InlineData("6.12-cloud", "microvm")]
    [InlineData("6.1-cloud", "microvm,acpi=off")]
    public async Task A_reboot_renews_the_VMs_bases_and_keeps_the_tenants(string kernel, string machine)
    {
        GuestPlan plan = new() { Kernel = kernel, Machine = machine, UseCache = true, Then = "reboot -f", Append = "reboot=t", Seed = TestSecrets.Seed("reboot") };
        await using TestGuest guest = await TestGuest.OnTimeAsync(plan, () => BootAsync(plan));
        GuestView[] views = GuestView.ParseAll(guest.Console);
        for (int boot = 0; boot < Boots; boot++)
        {
            Agreement.CheckView(guest.Planned(boot), views[boot], $"boot {boot} of {plan}\n{guest.Console}\n{guest.Log}");
        }

        GuestView[] three = views[..Boots];
        Assert.Single(three.Select(view => (view.Text, view.Vmemmap, view.FirstModuleArea)).Distinct());
        Assert.Equal(Boots, three.Select(view => view.Physmap).Distinct().Count());
        Assert.Equal(Boots, three.Select(view => view.Vmalloc).Distinct().Count());
        Assert.True(three.Select(view => view.Code).Distinct().Count() > 1);
        Assert.DoesNotContain("WARNING", guest.Log, StringComparison.Ordinal);
        await guest.WaitForLogAsync("the guest reboots, with new per-VM bases");
    }

    private async Task<TestGuest> BootAsync(GuestPlan plan)
    {
        TestGuest guest = await TestGuest.StartAsync(_scratch, plan);
        try
        {
            await guest.WaitForBootsAsync(Boots);
            return guest;
        }
        catch
        {
            await guest.DisposeAsync();
            throw;
        }
    }
}

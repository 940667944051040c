using KaslrMt.BootTests.Running;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;

namespace KaslrMt.BootTests;

/// <summary>The kernel is found in the guest's memory alone, and is the one that the guest says it runs.</summary>
public sealed class GuestKernelTests : IDisposable
{
    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("6.1-cloud", "")]
    [InlineData("6.12-cloud", "")]
    [InlineData("6.12-cloud", "nokaslr")]
    public async Task The_kernel_of_a_guest_of_ours_is_found(string kernel, string append)
    {
        await using TestGuest guest = await TestGuest.StartAsync(_scratch, new GuestPlan { Kernel = kernel, Append = append, Seed = TestSecrets.Seed($"find {kernel}") });
        await CheckAsync(guest, levels: 4);
    }

    private static async Task CheckAsync(TestGuest guest, int levels)
    {
        using QemuMemory memory = await guest.OpenMemoryAsync();
        GuestKernel kernel = GuestKernel.Find(memory);
        GuestView view = guest.View();
        Assert.Equal(levels, kernel.Tables.Levels);
        Assert.True(view.Text == kernel.VirtualBase.Value, "the text's address is not what the guest says");
        Assert.True(view.Code == kernel.PhysicalBase.Value, "the text's place is not what the guest says");
        Assert.True(view.Text == kernel.Symbol("_text")?.Value, "the symbols are not at their run-time addresses");
        Assert.True(kernel.TryReadWord(kernel.Symbol("vmalloc_base")!.Value, out ulong vmalloc) && vmalloc == view.Vmalloc, "variables cannot be read");
        Assert.StartsWith($"Linux version {kernel.Release} ", kernel.Banner, StringComparison.Ordinal);
        Assert.EndsWith("-amd64", kernel.Release, StringComparison.Ordinal);
    }
}

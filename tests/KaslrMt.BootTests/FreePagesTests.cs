using KaslrMt.BootTests.Running;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;

namespace KaslrMt.BootTests;

/// <summary><c>--free-pages zeroed</c> reaches the guest's kernel, and what it frees holds zeros; and what else a guest need not hold.</summary>
public sealed class FreePagesTests : IDisposable
{
    private const string Freed = "facts freed";

    // 24 MiB are given back.
    private const int Pages = 6144;

    private const string FreeSome = $"""
        mkdir -p /more
        mount -t tmpfs none /more
        dd if=/dev/urandom of=/more/file bs=1M count=24 2> /dev/null
        rm /more/file
        sleep 1
        echo '{Freed}'
        sleep 100000
        """;

    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("6.1-cloud")]
    [InlineData("6.12-cloud")]
    public async Task Zeroed_pages_hold_zeros_and_kept_ones_what_was_in_them(string kernel)
    {
        int kept = await DirtyAsync(kernel, FreePages.Kept, "console=ttyS0");
        int zeroed = await DirtyAsync(kernel, FreePages.Zeroed, "init_on_free=1 console=ttyS0");
        Assert.InRange(kept, Pages, int.MaxValue);

        // The guest runs while it is looked at.
        Assert.InRange(zeroed, 0, 64);
    }

    // What docs/operations.md recommends for kernels before 6.6.
    [Fact]
    public async Task Without_trace_files_a_guest_has_fewer_small_objects_and_nothing_to_complain_of()
    {
        long with = await SlabsAsync(""), without = await SlabsAsync("initcall_blacklist=tracer_init_tracefs");
        Assert.InRange(without, 1, with * 2 / 3);
    }

    private async Task<long> SlabsAsync(string append)
    {
        await using TestGuest guest = await TestGuest.StartAsync(
            _scratch, new GuestPlan { Kernel = "6.1-cloud", Append = append, Then = FreeSome, Seed = TestSecrets.Seed($"trace {append}") });
        await guest.WaitForConsoleAsync(Freed);
        Assert.Empty(guest.View().Troubles);
        using QemuMemory memory = await guest.OpenMemoryAsync();
        GuestKernel found = GuestKernel.Find(memory);
        return PageMap.Classify(found, GuestModules.Read(found)).Census[PageClass.Slab];
    }

    /// <summary>Free pages that hold something.</summary>
    private async Task<int> DirtyAsync(string kernel, FreePages pages, string line)
    {
        await using TestGuest guest = await TestGuest.StartAsync(
            _scratch, new GuestPlan { Kernel = kernel, FreePages = pages, Then = FreeSome, Seed = TestSecrets.Seed($"free {kernel} {pages}") });
        await guest.WaitForConsoleAsync(Freed);
        Assert.Contains($"kmt cmdline {line}", guest.Console, StringComparison.Ordinal);
        Assert.Equal(pages, guest.State.FreePages);

        using QemuMemory memory = await guest.OpenMemoryAsync();
        GuestKernel found = GuestKernel.Find(memory);
        PageMap map = PageMap.Classify(found, GuestModules.Read(found));
        PageFingerprints fingerprints = PageFingerprints.Read(memory);
        return Enumerable.Range(0, map.Frames.Count).Count(page => map.Pages[page] == PageClass.Free && fingerprints.Pages[page] != PageFingerprint.Zero);
    }
}

using System.Text;
using KaslrMt.BootTests.Running;
using KaslrMt.Hypervisors;
using KaslrMt.Layout;

namespace KaslrMt.BootTests;

/// <summary>The key stays outside: a booted guest's whole memory holds its bases and nothing they were made from.</summary>
public sealed class SecrecyTests : IDisposable
{
    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("6.1-cloud", "q35", "hkdf")]
    [InlineData("6.12-cloud", "microvm", "paper")]
    public async Task A_guests_memory_holds_its_bases_and_nothing_they_were_made_from(string kernel, string machine, string producer)
    {
        string key = TestSecrets.Key("secret");
        string planted = TestSecrets.Key("planted");
        GuestPlan plan = new()
        {
            Kernel = kernel,
            Machine = machine,
            Producer = producer,
            Policy = "101010",
            Append = $"planted={planted} kaslr_mt={key}-101010",
            Seed = TestSecrets.Seed("secret"),
        };
        await using TestGuest guest = await TestGuest.StartAsync(_scratch, plan);
        IReadOnlyDictionary<Region, ulong> bases = await Agreement.CheckAsync(guest, plan);

        // Controls: the same search finds a key where there is one, and the bases, which the kernel cannot do without.
        List<(string Name, byte[] Bytes)> controls = [("planted", Encoding.ASCII.GetBytes(planted)[4..12])];
        controls.AddRange(new[] { Region.KernelVirtual, Region.Physmap, Region.Vmalloc, Region.Vmemmap }.Select(region => (region.Name(), BitConverter.GetBytes(bases[region]))));
        (string Name, byte[] Bytes)[] secrets = [.. SecretPieces.Of(key, plan.Seed)];
        MemorySearch search = new(secrets.Concat(controls));
        Assert.True(search.Count > 5_000);
        using QemuMemory memory = await guest.OpenMemoryAsync();
        (SortedSet<string> found, ulong searched) = search.In(memory);
        Assert.True(searched > 510 * ByteSize.MiB, $"only {searched} bytes were searched");
        Assert.True(found.SetEquals(controls.Select(control => control.Name)), $"found: {string.Join(", ", found)}; {plan}");
        Assert.DoesNotContain(key, guest.Log, StringComparison.Ordinal);
        Assert.DoesNotContain(key, guest.Console, StringComparison.Ordinal);
    }
}

using System.Text;
using KaslrMt.BootTests.Running;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Layout;

namespace KaslrMt.BootTests;

/// <summary>A tenant's guests have a module at one address, in whatever order and however often at once modules are loaded.</summary>
public sealed class ModuleAddressTests : IDisposable
{
    private const string Loaded = "kmt loaded";

    private static readonly string[] Files = ["veth", "tun", "dm-mod", "loop", "overlay", "ena", "llc"];

    private readonly HostFolder _scratch = new();

    public static TheoryData<string> Kernels => [.. TestKernels.Names()];

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [MemberData(nameof(Kernels))]
    public async Task By_name_the_addresses_are_the_same_in_guests_that_load_in_other_orders(string kernel)
    {
        IReadOnlyDictionary<string, GuestModule>[] guests = await BootAsync(kernel, ModuleAddresses.ByName);
        Assert.Equal(Files.Select(file => file.Replace('-', '_')).Order(), guests[0].Keys.Except(["dummy"]).Order());
        Assert.All(guests, guest => Assert.True(Same(guest, guests[0]), "a module lies elsewhere in another guest"));
    }

    [Fact]
    public async Task By_order_they_are_not()
    {
        IReadOnlyDictionary<string, GuestModule>[] guests = await BootAsync("6.12-cloud", ModuleAddresses.ByOrder);
        Assert.Contains(guests, guest => !Same(guest, guests[0]));
    }

    // The hash in the guest's machine code and the one here must be one: documents and other tools count on it.
    [Theory]
    [InlineData("6.1-cloud")]
    [InlineData("6.12-cloud")]
    public async Task Each_module_lies_where_its_name_says(string kernel)
    {
        await using TestGuest guest = await StartAsync(kernel, ModuleAddresses.ByName, 1);
        ulong modules = guest.Planned()[Region.Modules];
        ulong slot = ((modules - 0xffffffffc0000000) >> 12) - 1;
        foreach ((string name, GuestModule module) in await ReadAsync(guest))
        {
            Assert.True(module.Address!.Value.Value - modules == ModuleNameCode.Start(Encoding.ASCII.GetBytes(name), slot), $"{name} lies elsewhere");
        }
    }

    // All of a module's groups of sections: from 6.4 on its data lies apart from its text, and its text refers to it.
    private static bool Same(IReadOnlyDictionary<string, GuestModule> one, IReadOnlyDictionary<string, GuestModule> other) =>
        one.Count == other.Count && one.All(module => other.TryGetValue(module.Key, out GuestModule? found) && found.Areas.SequenceEqual(module.Value.Areas));

    private async Task<IReadOnlyDictionary<string, GuestModule>[]> BootAsync(string kernel, ModuleAddresses modules)
    {
        List<IReadOnlyDictionary<string, GuestModule>> seen = [];
        for (int number = 0; number < 3; number++)
        {
            await using TestGuest guest = await StartAsync(kernel, modules, number);
            seen.Add(await ReadAsync(guest));
            Assert.DoesNotContain("kmt trouble", guest.Console, StringComparison.Ordinal);
        }

        return [.. seen];
    }

    // Each guest begins with another module and loads several at a time, each twice at once as udev does for two processors. From two files, as
    // the kernel takes two loads of one file for one.
    private Task<TestGuest> StartAsync(string kernel, ModuleAddresses modules, int number)
    {
        IEnumerable<string> order = Files.Skip(2 * number).Concat(Files.Take(2 * number));
        string load = string.Concat(order.Select(file => $"insmod /m/{file}.ko & insmod /n/{file}.ko &\n"));
        return StartAsync(new GuestPlan
        {
            Kernel = kernel,
            Cpus = number == 0 ? 1 : 2,
            ModuleFiles = Files,
            Modules = modules,
            Seed = TestSecrets.Seed($"modules {kernel} {number}"),
            Then = $"cp -r /m /n\n({load}wait) >/dev/null 2>&1\ndmesg | grep -E 'WARNING: |BUG: |Oops|Call Trace|blocked for more' | sed 's/^/kmt trouble /'\necho '{Loaded}'\nsleep 100000",
        });
    }

    private async Task<TestGuest> StartAsync(GuestPlan plan)
    {
        TestGuest guest = await TestGuest.StartAsync(_scratch, plan);
        try
        {
            await guest.WaitForConsoleAsync(Loaded);
            return guest;
        }
        catch
        {
            await guest.DisposeAsync();
            throw;
        }
    }

    private static async Task<IReadOnlyDictionary<string, GuestModule>> ReadAsync(TestGuest guest)
    {
        using QemuMemory memory = await guest.OpenMemoryAsync();
        return GuestModules.Read(GuestKernel.Find(memory)).InLoadOrder.ToDictionary(module => module.Name);
    }
}

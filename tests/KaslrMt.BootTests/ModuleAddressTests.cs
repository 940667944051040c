using System.Text;
using KaslrMt.BootTests.Running;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;
using KaslrMt.Kernels;
using KaslrMt.Layout;
using KaslrMt.TestSupport;

namespace KaslrMt.BootTests;

/// <summary>A tenant's guests have a module at one address, in whatever order and however often at once modules are loaded.</summary>
public sealed class ModuleAddressTests : IDisposable
{
    private const string Loaded = "kmt loaded";

    private static readonly string[] Files = ["veth", "tun", "loop", "overlay", "nfnetlink", "llc"];

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("6.1-cloud")]
    [InlineData("6.12-cloud")]
    public async Task By_name_the_addresses_are_the_same_in_guests_that_load_in_other_orders(string kernel)
    {
        IReadOnlyDictionary<string, ulong>[] guests = await BootAsync(kernel, ModuleAddresses.ByName);
        Assert.Equal(Files.Order(), guests[0].Keys.Except(["dummy"]).Order());
        Assert.All(guests, guest => Assert.True(Same(guest, guests[0]), "a module lies elsewhere in another guest"));
    }

    [Fact]
    public async Task By_order_they_are_not()
    {
        IReadOnlyDictionary<string, ulong>[] guests = await BootAsync("6.12-cloud", ModuleAddresses.ByOrder);
        Assert.Contains(guests, guest => !Same(guest, guests[0]));
    }

    // The hash in the guest's machine code and the one here must be one: documents and other tools count on it.
    [Fact]
    public async Task Each_module_lies_where_its_name_says()
    {
        await using TestGuest guest = await StartAsync("6.1-cloud", ModuleAddresses.ByName, 0);
        ulong modules = guest.Planned()[Region.Modules];
        ulong slot = ((modules - 0xffffffffc0000000) >> 12) - 1;
        foreach ((string name, ulong address) in await ReadAsync(guest))
        {
            Assert.True(address - modules == ModuleNameCode.Start(Encoding.ASCII.GetBytes(name), slot), $"{name} lies elsewhere");
        }
    }

    private static bool Same(IReadOnlyDictionary<string, ulong> one, IReadOnlyDictionary<string, ulong> other) =>
        one.Count == other.Count && one.All(module => other.TryGetValue(module.Key, out ulong address) && address == module.Value);

    private async Task<IReadOnlyDictionary<string, ulong>[]> BootAsync(string kernel, ModuleAddresses modules)
    {
        List<IReadOnlyDictionary<string, ulong>> seen = [];
        for (int number = 0; number < 3; number++)
        {
            await using TestGuest guest = await StartAsync(kernel, modules, number);
            seen.Add(await ReadAsync(guest));
        }

        return [.. seen];
    }

    // Each guest begins with another module and loads several at a time. From 6.5 on also each twice at once, as udev does for two processors:
    // earlier kernels place both copies before they see that one is too many, and on a busy host the one placed second may win.
    private Task<TestGuest> StartAsync(string kernel, ModuleAddresses modules, int number)
    {
        IEnumerable<string> order = Files.Skip(2 * number).Concat(Files.Take(2 * number));
        string twice = kernel == "6.1-cloud" ? "" : "insmod /m/{0}.ko &";
        string load = string.Concat(order.Select(file => $"insmod /m/{file}.ko & {twice.Replace("{0}", file, StringComparison.Ordinal)}\n"));
        return StartAsync(new GuestPlan
        {
            Kernel = kernel,
            Cpus = 2,
            ModuleFiles = Files,
            Modules = modules,
            Seed = TestSecrets.Seed($"modules {kernel} {number}"),
            Then = $"({load}wait) >/dev/null 2>&1\necho '{Loaded}'\nsleep 100000",
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

    private static async Task<IReadOnlyDictionary<string, ulong>> ReadAsync(TestGuest guest)
    {
        using QemuMemory memory = await guest.OpenMemoryAsync();
        return GuestModules.Read(GuestKernel.Find(memory)).InLoadOrder.ToDictionary(module => module.Name, module => module.Address!.Value.Value);
    }
}

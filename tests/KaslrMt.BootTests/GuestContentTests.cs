using System.Globalization;
using KaslrMt.BootTests.Running;
using KaslrMt.Guests;
using KaslrMt.Hypervisors;

namespace KaslrMt.BootTests;

/// <summary>What is read of a guest from outside, beside what its own kernel says: modules, and what its pages hold.</summary>
public sealed class GuestContentTests : IDisposable
{
    private const string End = "facts end";

    // Some of everything: processes with tables and memory of their own, files, slabs. The guest is idle once it has told its facts.
    private const string Facts = """
        for i in 1 2 3 4 5 6 7 8 9 10; do sleep 100000 & done
        mkdir -p /more
        mount -t tmpfs none /more
        dd if=/dev/urandom of=/more/file bs=1M count=12 2> /dev/null
        sleep 1
        sed 's/^/facts module /' /proc/modules
        grep -E 'dummy_(xmit|setup|init_module).*dummy' /proc/kallsyms | sed 's/^/facts symbol /'
        sed 's/^/facts memory /' /proc/meminfo
        grep -E '^ +count:' /proc/zoneinfo | sed 's/^ */facts /'
        echo "facts end"
        sleep 100000
        """;

    private readonly HostFolder _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("6.1-cloud")]
    [InlineData("6.12-cloud")]
    public async Task Modules_and_page_classes_agree_with_the_guests_own_view(string kernel)
    {
        await using TestGuest guest = await TestGuest.StartAsync(_scratch, new GuestPlan { Kernel = kernel, Then = Facts, Seed = TestSecrets.Seed($"content {kernel}") });
        await guest.WaitForConsoleAsync(End);
        string[] console = [.. guest.Console.Split('\n').Select(line => line.TrimEnd('\r'))];
        using QemuMemory memory = await guest.OpenMemoryAsync();
        GuestKernel found = GuestKernel.Find(memory);
        GuestModules modules = GuestModules.Read(found);
        CheckModules(modules, Lines(console, "facts module "), Lines(console, "facts symbol "));

        PageMap map = PageMap.Classify(found, modules);
        Assert.True(map.IsComplete);
        Assert.Equal(memory.Ranges.Aggregate(0UL, (sum, range) => sum + range.Length), (ulong)map.Census.Total * PageCensus.PageSize);
        Assert.Equal(map.Census.Total, PageClassNames.All.Sum(pageClass => map.Census[pageClass]));
        CheckClasses(map.Census, Lines(console, "facts memory "), Lines(console, "facts count:"));
        CheckPlaces(map, found, modules);
    }

    private static void CheckModules(GuestModules modules, string[] own, string[] symbols)
    {
        // "dummy 16384 0 - Live 0xffffffffc0a00000", the one loaded last first.
        Assert.Null(modules.Problem);
        string[][] words = [.. own.Reverse().Select(line => line.Split(' '))];
        Assert.Equal(words.Select(line => line[0]), modules.InLoadOrder.Select(module => module.Name));
        Assert.Equal(words.Select(line => line[1]), modules.InLoadOrder.Select(module => module.Size.ToString(CultureInfo.InvariantCulture)));
        Assert.All(modules.InLoadOrder, module => Assert.Equal(ModuleState.Live, module.State));
        Assert.True(words.Select(line => line[5]).SequenceEqual(modules.InLoadOrder.Select(module => $"{module.Address}")), "modules are not where the guest says");

        // "ffffffffc0a00010 t dummy_xmit	[dummy]"
        Assert.NotEmpty(symbols);
        foreach (string[] symbol in symbols.Select(line => line.Split(' ', '\t')))
        {
            ModuleLocation? place = modules.Find(new VirtualAddress(ulong.Parse(symbol[0], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture)));
            Assert.Equal($"{symbol[2]}+0x0 [dummy]", $"{place}");
        }
    }

    private static void CheckClasses(PageCensus census, string[] lines, string[] freeLists)
    {
        // "MemFree:          431148 kB"
        Dictionary<string, long> own = lines.Select(line => line.Split([':', ' '], StringSplitOptions.RemoveEmptyEntries))
            .ToDictionary(words => words[0], words => long.Parse(words[1], CultureInfo.InvariantCulture) / 4);

        // Free pages on the processors' own lists are not in MemFree.
        long free = own["MemFree"] + freeLists.Sum(line => long.Parse(line, CultureInfo.InvariantCulture));
        Assert.InRange(census[PageClass.Free], free - 128, free + 128);
        Assert.InRange(census[PageClass.PageCache], own["Cached"] + own["Buffers"] - 64, own["Cached"] + own["Buffers"] + 64);
        Assert.InRange(census[PageClass.User], own["AnonPages"] - 64, own["AnonPages"] + 64);

        // Objects too large for a slab are in Slab and cannot be told from other pages before 6.15.
        Assert.InRange(census[PageClass.Slab], own["Slab"] * 7 / 10, own["Slab"] + 64);

        // The kernel's own tables are not in PageTables.
        Assert.InRange(census[PageClass.PageTable], own["PageTables"], own["PageTables"] + 128);

        // vmalloc hands out the modules' memory too.
        long mapped = census[PageClass.Vmalloc] + census[PageClass.ModuleCode] + census[PageClass.ModuleData];
        Assert.InRange(mapped, own["VmallocUsed"] - 64, own["VmallocUsed"] + 64);

        // What the allocator never had.
        long boot = census[PageClass.KernelCode] + census[PageClass.KernelData] + census[PageClass.Vmemmap] + census[PageClass.Reserved];
        Assert.InRange(boot, census.Total - own["MemTotal"] - 64, census.Total - own["MemTotal"] + 64);
    }

    private static void CheckPlaces(PageMap map, GuestKernel kernel, GuestModules modules)
    {
        Assert.Equal(PageClass.KernelCode, ClassAt(kernel.VirtualBase));
        Assert.Equal(PageClass.KernelCode, ClassAt(kernel.Symbol("__schedule")!.Value));
        Assert.Equal(PageClass.KernelData, ClassAt(kernel.Symbol("init_task")!.Value));
        Assert.Equal(PageClass.KernelData, ClassAt(kernel.Symbol("linux_banner")!.Value));
        foreach (ModuleArea area in modules.InLoadOrder.SelectMany(module => module.Areas))
        {
            Assert.Equal(area.Section == ModuleSection.Text ? PageClass.ModuleCode : PageClass.ModuleData, ClassAt(area.Address));
        }

        PageClass ClassAt(VirtualAddress address)
        {
            Assert.True(kernel.Tables.TryTranslate(address, out Mapping mapping));
            return map.Pages[map.Frames.IndexOf(mapping.Target + (address - mapping.Address))];
        }
    }

    private static string[] Lines(string[] console, string mark) =>
        [.. console.Where(line => line.StartsWith(mark, StringComparison.Ordinal)).Select(line => line[mark.Length..])];
}

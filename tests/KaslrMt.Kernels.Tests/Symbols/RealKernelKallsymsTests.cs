using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;

namespace KaslrMt.Kernels.Tests.Symbols;

/// <summary>The tables of distribution kernels, each unpacked from its bzImage.</summary>
public sealed class RealKernelKallsymsTests
{
    /// <summary>What the project needs of a kernel; the names exist in every version from 5.10 to 7.3.</summary>
    private static readonly string[] Needed =
    [
        "_text", "_stext", "_etext", "_end", "startup_64", "secondary_startup_64", "setup_arch", "kernel_randomize_memory",
        "page_offset_base", "vmalloc_base", "vmemmap_base", "init_top_pgt", "init_task", "modules", "linux_banner", "boot_params",
        "phys_base", "__per_cpu_start", "__bss_stop", "get_random_u16",
    ];

    /// <summary>Symbols of the releases whose <c>/proc/kallsyms</c> was compared line by line under QEMU with <c>nokaslr</c>.</summary>
    private static readonly Dictionary<string, int> CountByRelease = new(StringComparer.Ordinal)
    {
        ["5.10.0-32-cloud-amd64"] = 96995,
        ["6.1.0-56-cloud-amd64"] = 87347,
        ["6.1.0-56-amd64"] = 94266,
        ["6.1.0-56-rt-amd64"] = 94076,
        ["6.12.117+deb12-cloud-amd64"] = 154686,
        ["6.12.117+deb12-amd64"] = 163205,
        ["6.12.117+deb12-rt-amd64"] = 162758,
        ["6.16.3+deb13-cloud-amd64"] = 163255,
        ["6.17.13+deb13-cloud-amd64"] = 164523,
        ["6.18.15+deb13-cloud-amd64"] = 176178,
        ["6.19.14+deb13-cloud-amd64"] = 179948,
        ["7.0.13+deb13-cloud-amd64"] = 181746,
        ["7.1.13+deb13-cloud-amd64"] = 196000,
        ["7.2.13+deb14-cloud-amd64"] = 186798,
        ["7.3.4+deb13-cloud-amd64"] = 197553,
    };

    public static TheoryData<string> Kernels => new(TestKernels.Names());

    public static TheoryData<string> KernelsOfEveryMachine => new(TestKernels.Always);

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Tables_of_every_kernel_in_the_folder_are_found_whole(string name)
    {
        byte[] memory = RealKernel.ReadFlat(name);
        Kallsyms tables = Kallsyms.Read(memory, RealKernel.LinkBase);

        string release = ReleaseIn(memory, tables);
        Assert.Equal(ExpectedLayout(release), (tables.Layout.Order, tables.Layout.Addressing));
        Assert.Equal(CountByRelease.GetValueOrDefault(release, tables.Count), tables.Count);

        // Types are those of nm, addresses ascend and stay inside the image: no table is off by an entry. Some releases (6.19, 7.0) also
        // number the .modinfo strings of built-in modules, which are linked behind the image and not loaded.
        ulong previous = 0;
        int count = 0;
        ulong end = RealKernel.LinkBase.Value + (ulong)memory.Length + ByteSize.MiB;
        foreach (KallsymsEntry symbol in tables)
        {
            Assert.Equal(count++, symbol.Index);
            Assert.Contains(symbol.Type, "ABbDdRrTtVvWw");
            Assert.InRange(symbol.NameBytes.Length, 1, 511);
            Assert.InRange(symbol.Address.Value, previous, end);
            previous = symbol.Address.Value;
        }

        Assert.Equal(tables.Count, count);
        Assert.Equal(RealKernel.LinkBase, tables.Resolve("_text")[0]);
        Assert.InRange(Position(tables.Resolve("_end")[0]), memory.Length / 2, memory.Length);
    }

    [Theory]
    [MemberData(nameof(KernelsOfEveryMachine))]
    public void Symbols_point_at_what_they_name(string name)
    {
        byte[] memory = RealKernel.ReadFlat(name);
        Kallsyms tables = Kallsyms.Read(memory, RealKernel.LinkBase);
        VirtualAddress[] found = tables.Resolve(Needed);

        int banner = Position(found[Array.IndexOf(Needed, "linux_banner")]);
        Assert.True(memory.AsSpan(banner).StartsWith("Linux version "u8));

        // page_offset_base holds the address of the direct map without randomization.
        int pageOffset = Position(found[Array.IndexOf(Needed, "page_offset_base")]);
        Assert.Equal(0xffff_8880_0000_0000, BinaryPrimitives.ReadUInt64LittleEndian(memory.AsSpan(pageOffset)));

        VirtualAddress inSetup = found[Array.IndexOf(Needed, "setup_arch")] + 0x1c;
        Assert.StartsWith("setup_arch+0x1c/0x", tables.Find(inSetup)?.ToString(), StringComparison.Ordinal);
        Assert.Equal('A', tables[0].Type);

        // Names of static variables are not unique; the first of them is what Resolve gives.
        IReadOnlyList<KallsymsSymbol> all = tables.All("__func__.0");
        Assert.InRange(all.Count, 2, 5000);
        Assert.Equal(all[0].Address, tables.Resolve("__func__.0")[0]);
        Assert.Equal(all.OrderBy(symbol => symbol.Address).DistinctBy(symbol => symbol.Index), all);
    }

    [Theory]
    [MemberData(nameof(KernelsOfEveryMachine))]
    public void Relocated_memory_gives_run_time_addresses(string name)
    {
        const ulong slide = 0x1b60_0000;
        byte[] memory = RealKernel.ReadFlat(name);
        Kallsyms linked = Kallsyms.Copy(memory, RealKernel.LinkBase);
        int relativeBase = Assert.NotNull(linked.Layout.RelativeBase);
        Span<byte> value = memory.AsSpan(relativeBase, sizeof(ulong));
        BinaryPrimitives.WriteUInt64LittleEndian(value, BinaryPrimitives.ReadUInt64LittleEndian(value) + slide);

        Kallsyms running = Kallsyms.Read(memory, RealKernel.LinkBase + slide);

        Assert.Equal(linked.Layout, running.Layout);
        VirtualAddress[] before = linked.Resolve(Needed);
        VirtualAddress[] after = running.Resolve(Needed);
        for (int i = 0; i < Needed.Length; i++)
        {
            // Only per-CPU symbols, absolute values, stay where they are.
            Assert.Equal(before[i] < RealKernel.LinkBase ? before[i] : before[i] + slide, after[i]);
        }
    }

    private static (KallsymsOrder Order, KallsymsAddressing Addressing) ExpectedLayout(string release)
    {
        string[] numbers = release.Split('.', '-', '+');
        int version = (int.Parse(numbers[0], CultureInfo.InvariantCulture) * 100) + int.Parse(numbers[1], CultureInfo.InvariantCulture);
        return version switch
        {
            < 604 => (KallsymsOrder.OffsetsFirst, KallsymsAddressing.AbsolutePerCpu),
            < 615 => (KallsymsOrder.NamesFirst, KallsymsAddressing.AbsolutePerCpu),
            < 700 => (KallsymsOrder.NamesFirst, KallsymsAddressing.BaseRelative),
            _ => (KallsymsOrder.NamesFirst, KallsymsAddressing.PlaceRelative),
        };
    }

    private static string ReleaseIn(byte[] memory, Kallsyms tables)
    {
        ReadOnlySpan<byte> banner = memory.AsSpan(Position(tables.Resolve("linux_banner")[0]), 100);
        return System.Text.Encoding.ASCII.GetString(banner).Split(' ')[2];
    }

    private static int Position(VirtualAddress address) => (int)(address - RealKernel.LinkBase);
}

using System.Buffers.Binary;
using System.Globalization;

namespace KaslrMt.BootTests.Running;

/// <summary>What a guest printed about itself.</summary>
internal sealed class GuestView
{
    private readonly Dictionary<string, string> _lines = [];

    private GuestView()
    {
    }

    internal string CommandLine => _lines["cmdline"];

    /// <summary>The run-time address of <c>_text</c>, from /proc/kallsyms.</summary>
    internal ulong Text => Hex(_lines["text"].Split(' ')[0]);

    /// <summary>Where the kernel's code lies in physical memory, from /proc/iomem.</summary>
    internal ulong Code => Hex(_lines["code"].Trim().Split('-')[0]);

    /// <summary>Where the first module was loaded, from /proc/modules.</summary>
    internal ulong Module => ModuleAddress("module");

    /// <summary>The first address in use where modules lie, from /proc/vmallocinfo; BPF may have come before any module.</summary>
    internal ulong FirstModuleArea => Hex(_lines["area"].Split('-')[0][2..]);

    /// <summary>Where it was loaded the second time.</summary>
    internal ulong ReloadedModule => ModuleAddress("reloaded");

    /// <summary>How many modules were left after it was unloaded.</summary>
    internal int ModulesAfterUnload => int.Parse(_lines["unloaded"], CultureInfo.InvariantCulture);

    internal int Cpus => int.Parse(_lines["cpus"], CultureInfo.InvariantCulture);

    internal ulong Physmap { get; private set; }

    internal ulong Vmalloc { get; private set; }

    internal ulong Vmemmap { get; private set; }

    /// <summary>/sys/kernel/notes, which every user of the guest can read.</summary>
    internal byte[] Notes => Convert.FromHexString(_lines["notes"]);

    /// <summary>What the kernel complained of.</summary>
    internal List<string> Troubles { get; } = [];

    /// <summary>Reads all views in a console's text, one for each boot.</summary>
    internal static GuestView[] ParseAll(string console) => [.. console.Split(GuestInit.End)[..^1].Select(Parse)];

    /// <summary>Reads the view in a console's text.</summary>
    internal static GuestView Parse(string console)
    {
        GuestView view = new();
        foreach (string line in console.Split('\n').Select(line => line.TrimEnd('\r')).Where(line => line.StartsWith(GuestInit.Mark, StringComparison.Ordinal)))
        {
            string[] parts = line.Split(' ', 3);
            if (parts[1] == "trouble")
            {
                view.Troubles.Add(parts[2]);
            }
            else
            {
                view._lines[parts[1]] = parts.Length > 2 ? parts[2] : "";
            }
        }

        view.ReadKcore(Convert.FromHexString(view._lines["kcore"]));
        return view;
    }

    // fs/proc/kcore.c: RAM carries its physical address, the other segments carry none (all ones, or 0 before 4.18). vmalloc is the one of
    // 32 TiB less a byte, 12,800 TiB where a kernel left to itself took to five levels; vmemmap's are the ones of the half above it, the first for the first page of RAM, rounded down to a page.
    private void ReadKcore(byte[] kcore)
    {
        const ulong VmallocSize = 32UL << 40, VmallocSizeOfFiveLevels = 12800UL << 40;
        int count = BinaryPrimitives.ReadUInt16LittleEndian(kcore.AsSpan(56));
        Assert.InRange(count, 4, 60);
        List<(ulong Address, ulong Target, ulong Size)> loads = [];
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> header = kcore.AsSpan(64 + (56 * i), 56);
            if (BinaryPrimitives.ReadUInt32LittleEndian(header) == 1)
            {
                loads.Add((BinaryPrimitives.ReadUInt64LittleEndian(header[16..]), BinaryPrimitives.ReadUInt64LittleEndian(header[24..]), BinaryPrimitives.ReadUInt64LittleEndian(header[40..])));
            }
        }

        Vmalloc = Assert.Single(loads, load => load.Size is VmallocSize or VmallocSize - 1 or VmallocSizeOfFiveLevels or VmallocSizeOfFiveLevels - 1).Address;
        (ulong Address, ulong Target, ulong Size)[] ram = [.. loads.Where(load => load.Address < Vmalloc)];
        Physmap = Assert.Single(ram.Select(load => load.Address - load.Target).Distinct());
        Vmemmap = loads.Where(load => load.Address > Vmalloc && load.Address < 0xfffffe0000000000).Min(load => load.Address);
    }

    private ulong ModuleAddress(string line)
    {
        // "dummy 16384 0 - Live 0xffffffffc0a00000"
        string[] words = _lines[line].Split(' ');
        Assert.Equal("dummy", words[0]);
        return Hex(words[5].Replace("0x", "", StringComparison.Ordinal));
    }

    private static ulong Hex(string digits) => ulong.Parse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
}

using System.Buffers.Binary;
using System.Globalization;
using KaslrMt.Lab.Experiments;
using KaslrMt.Layout;

namespace KaslrMt.Lab.Demo;

/// <summary>What a guest says of its own layout, printed by the demonstration's init to its console.</summary>
/// <remarks>
/// <c>/proc/kallsyms</c> tells where <c>_text</c> is, <c>/proc/iomem</c> where the kernel's code lies physically, <c>/proc/modules</c> where a
/// module was loaded. <c>/proc/kcore</c> is an ELF whose program headers name every range of kernel memory (<c>fs/proc/kcore.c</c>): the direct
/// map by its physical addresses, vmalloc, and the memory map.
/// </remarks>
/// <param name="Bases">The regions it could tell.</param>
/// <param name="ModuleAddress">Where the module lies.</param>
internal sealed record GuestSelfReport(IReadOnlyDictionary<Region, ulong> Bases, ulong? ModuleAddress)
{
    /// <summary>The line behind which a report is whole.</summary>
    public const string End = "KASLRMT-DEMO-END";

    private const string Begin = "KASLRMT-DEMO-BEGIN";
    private const int ProgramHeaderCount = 56;
    private const int ProgramHeaders = 64;
    private const int ProgramHeaderSize = 56;
    private const uint PtLoad = 1;

    /// <summary>The init that prints it. A module of the name given, packed or not, lies in <c>/m</c>.</summary>
    public static string Init(string module) => $"""
        echo 0 > /proc/sys/kernel/kptr_restrict
        file=/m/{module}
        case $file in *.xz) xzcat $file > /m/demo.ko && file=/m/demo.ko ;; esac
        insmod $file
        echo {Begin}
        grep ' _text$' /proc/kallsyms
        grep 'Kernel code' /proc/iomem
        cat /proc/modules
        od -A n -v -t x8 -N 2048 /proc/kcore
        echo {End}
        rm -f /m/*
        sleep 1
        echo {GuestRecipe.ReadyMark}
        while true; do sleep 3600; done
        """;

    /// <summary>Reads a report off a console; null while it is not whole.</summary>
    public static GuestSelfReport? Read(string console)
    {
        string[] lines = console.ReplaceLineEndings("\n").Split('\n', StringSplitOptions.TrimEntries);
        int begin = Array.IndexOf(lines, Begin);
        int end = Array.IndexOf(lines, End);
        return begin < 0 || end < begin ? null : Read(lines.AsSpan((begin + 1)..end));
    }

    private static GuestSelfReport Read(ReadOnlySpan<string> lines)
    {
        var bases = new Dictionary<Region, ulong>();
        ulong? module = null;
        var kcore = new List<byte>();
        foreach (string line in lines)
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (line.EndsWith(" _text", StringComparison.Ordinal) && TryHex(words[0], out ulong text))
            {
                bases[Region.KernelVirtual] = text;
            }
            else if (line.EndsWith(": Kernel code", StringComparison.Ordinal) && TryHex(words[0].Split('-')[0], out ulong code))
            {
                bases[Region.KernelPhysical] = code;
            }
            else if (words.Length >= 6 && words[4] == "Live" && TryHex(words[5][2..], out ulong address))
            {
                module = address;
            }
            else if (words.Length == 2 && TryHex(words[0], out ulong low) && TryHex(words[1], out ulong high))
            {
                AddWord(kcore, low);
                AddWord(kcore, high);
            }
        }

        ReadKcore(kcore.ToArray(), bases);
        return new GuestSelfReport(bases, module);
    }

    private static void ReadKcore(ReadOnlySpan<byte> header, Dictionary<Region, ulong> bases)
    {
        int count = header.Length < ProgramHeaders ? 0 : BinaryPrimitives.ReadUInt16LittleEndian(header[ProgramHeaderCount..]);
        for (int at = ProgramHeaders; count > 0 && at + ProgramHeaderSize <= header.Length; at += ProgramHeaderSize, count--)
        {
            ulong address = BinaryPrimitives.ReadUInt64LittleEndian(header[(at + 16)..]);
            ulong physical = BinaryPrimitives.ReadUInt64LittleEndian(header[(at + 24)..]);
            ulong size = BinaryPrimitives.ReadUInt64LittleEndian(header[(at + 32)..]);
            if (BinaryPrimitives.ReadUInt32LittleEndian(header[at..]) != PtLoad || address >= AddressSpace.End.Value)
            {
                continue;
            }

            // vmalloc alone has its full 32 TiB less one byte; the direct map alone has physical addresses; what is left is the memory map.
            Region region = size == AddressSpace.VmallocSize - 1 ? Region.Vmalloc : physical != ulong.MaxValue ? Region.Physmap : Region.Vmemmap;
            ulong start = region == Region.Physmap ? address - physical : address;
            bases[region] = Math.Min(start, bases.GetValueOrDefault(region, ulong.MaxValue));
        }
    }

    private static void AddWord(List<byte> bytes, ulong word)
    {
        Span<byte> buffer = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(buffer, word);
        bytes.AddRange(buffer);
    }

    private static bool TryHex(string text, out ulong value) => ulong.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
}

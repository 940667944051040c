using System.Collections.Immutable;
using KaslrMt.Kernels;

namespace KaslrMt.TestSupport;

/// <summary>A prepared kernel of 18 KiB that boots nowhere and has one of everything.</summary>
internal static class SmallKernel
{
    private const ulong Physical = 0x1000000;
    private const int Body = 0x10000;

    /// <summary>The facts.</summary>
    public static KernelFacts Facts { get; } = new()
    {
        Release = "6.1.0-small",
        LinkBase = Physical + ElfImage.StartKernelMap,
        ImageSize = 0x400000,
        Alignment = 0x200000,
        LinkPhysical = Physical,
        Entry = Physical + 0x40,
        SetupHeader = new byte[0x77],
        Segments = [new(Physical, 0x3000, 0x3000), new(Physical + 0x200000, 0x1804, 0x2000)],
        Patch = new KernelFacts.PatchSites(Body + 0x100, Body + 0x200, Body + 0x208, Body + 0x210, Body + 0x17fc + 0x3000, Body + 0x300, 6),
        ModuleNames = new ModuleNamePatch(Body + 0x800, new byte[64], 8, [new(Body + 0x900, [0xe9, 1, 2, 3, 4], false)]),
        Variables = ImmutableSortedDictionary<string, ImmutableArray<ulong>>.Empty.Add("vmalloc_base", [Physical + ElfImage.StartKernelMap + 0x208]),
    };

    /// <summary>Its file.</summary>
    public static byte[] Write(string folder)
    {
        ImmutableArray<ElfSegment> segments =
        [
            new(ElfSegmentType.Load, ElfSegmentFlags.None, 0, new(Facts.LinkBase), new(Physical), 0x3000, 0x3000, 0),
            new(ElfSegmentType.Load, ElfSegmentFlags.None, 0x3000, default, new(Physical + 0x200000), 0x1804, 0x2000, 0),
        ];
        var elf = new ElfImage(Facts.Entry, segments, [], 0x4804);
        uint low = unchecked((uint)Facts.LinkBase);
        uint[] entries = [low, low + 0x1008, low + 0x2ff4, low + 0x200000, low + 0x10, low + 0x2001fc, low + 0x20, low + 0x2ffc, low + 0x201800];
        var table = new RelocationTable(
            RelocationList.Create(elf, entries, 6, 3, sizeof(uint), "32-bit"),
            RelocationList.Create(elf, entries, 4, 2, sizeof(uint), "inverse 32-bit"),
            RelocationList.Create(elf, entries, 0, 4, sizeof(ulong), "64-bit"),
            hasInverse: true);
        var buffer = new NativeBuffer(0x4804);
        new Random(1).NextBytes(buffer.Span);
        using var kernel = new PreparedKernel(buffer, elf, table, Facts);
        string path = Path.Combine(folder, "small");
        using (var file = File.OpenHandle(path, FileMode.Create, FileAccess.ReadWrite))
        {
            kernel.WriteTo(file);
        }

        return File.ReadAllBytes(path);
    }

    /// <summary>A kernel of those segments, whose bytes lie one behind the other, without relocations: for the link layout, or to be written and never run.</summary>
    public static PreparedKernel Of(KernelFacts facts, ReadOnlySpan<byte> bytes)
    {
        int offset = 0;
        List<ElfSegment> segments = [];
        foreach (KernelFacts.Segment segment in facts.Segments)
        {
            segments.Add(new ElfSegment(
                ElfSegmentType.Load, ElfSegmentFlags.None, offset, new(segment.PhysicalAddress + ElfImage.StartKernelMap), new(segment.PhysicalAddress), segment.FileSize, segment.MemorySize, 0));
            offset += segment.FileSize;
        }

        var elf = new ElfImage(facts.Entry, [.. segments], [], offset);
        RelocationList none = RelocationList.Create(elf, [], 0, 0, sizeof(uint), "none");
        var buffer = new NativeBuffer(offset);
        bytes.CopyTo(buffer.Span);
        return new PreparedKernel(buffer, elf, new RelocationTable(none, none, none, hasInverse: true), facts);
    }

    /// <summary>Reads such a file.</summary>
    public static PreparedKernel Read(ReadOnlySpan<byte> file)
    {
        var buffer = new NativeBuffer(file.Length);
        file.CopyTo(buffer.Span);
        return PreparedKernelReader.Read(buffer);
    }
}

using KaslrMt.Kernels;

namespace KaslrMt.Guests.Tests;

/// <summary>A guest of 4 MiB with a kernel image, modules, vmalloc, and an array of <c>struct page</c> in one of three shapes.</summary>
internal sealed class FakePages : IDisposable
{
    internal const ulong Text = 0xffffffff81000000;
    internal const ulong Vmalloc = 0xffffc90000000000;
    internal const ulong Vmemmap = 0xffffea0000000000;
    internal const ulong Modules = 0xffffffffc0000000;
    internal const int ImageAt = 0x100;
    internal const int Count = 1024;
    internal const int VmemmapPages = Count * StructSize / 4096;

    internal const ulong Lru = 1 << 5;
    internal const ulong Reserved = 1 << 14;
    internal const uint NoType = uint.MaxValue;

    private const int StructsAt = 0x200000;
    private const int StructSize = 64;
    private const ulong SlabFlag = 1 << 9;
    private const ulong VariablesAt = 0x118000;

    internal FakePages(string shape)
    {
        Shape = shape;

        // Four pages of code, four of data, of which two were given back; the variables lie in the image's last page.
        for (ulong page = 0; page < 0x19; page++)
        {
            Memory.Map(Text + (page << 12), (ImageAt + page) << 12);
            Set(ImageAt + (int)page, flags: Reserved);
        }

        for (ulong page = 0; page < VmemmapPages; page++)
        {
            Memory.Map(Vmemmap + (page << 12), StructsAt + (page << 12));
        }

        Memory.WriteWord(VariablesAt, Vmalloc);
        Memory.WriteWord(VariablesAt + 8, Vmemmap);
    }

    internal FakeMemory Memory { get; } = new(Count << 12);

    private string Shape { get; }

    /// <summary>Fills in a <c>struct page</c>; the rest of them have no user and are on no list.</summary>
    internal void Set(int frame, ulong flags = 0, uint type = NoType, uint references = 1, ulong mapping = 0, ulong compound = 0)
    {
        ulong at = StructsAt + ((ulong)frame * StructSize);
        Memory.WriteWord(at, flags);
        Memory.WriteWord(at + 8, compound);
        Memory.WriteWord(at + 24, mapping);
        Memory.WriteWord(at + 48, type | ((ulong)references << 32));
    }

    internal void SetSlab(int frame) => Set(frame, Shape == "6.1" ? SlabFlag : 0, Shape switch { "6.1" => NoType, "6.11" => ~0x02000000u, _ => 0xf5000000 });

    internal void SetTable(int frame) => Set(frame, type: Shape switch { "6.1" => ~0x200u, "6.11" => ~0x10000000u, _ => 0xf2000000 });

    internal void SetBuddy(int frame, ulong order = 0)
    {
        Set(frame, type: Shape switch { "6.1" => ~0x80u, "6.11" => ~0x40000000u, _ => 0xf0000000 }, references: 0);
        Memory.WriteWord(StructsAt + ((ulong)frame * StructSize) + 40, order);
    }

    /// <summary>The address of a page's link, as a list that it alone is on would hold it.</summary>
    internal static ulong Link(int frame) => Vmemmap + ((ulong)frame * StructSize) + 8;

    internal PageMap Classify() => PageMap.Classify(
        new KernelAccess(
            Memory,
            new PageTableWalk(Memory, new PhysicalAddress(FakeMemory.Root)),
            TypeTable.Read(Types()),
            new VirtualAddress(Text),
            new PhysicalAddress(ImageAt << 12),
            name => name switch
            {
                "_etext" => new VirtualAddress(Text + 0x4800),
                "_end" => new VirtualAddress(Text + 0x19000),
                "vmalloc_base" => new VirtualAddress(Text + 0x18000),
                "vmemmap_base" => new VirtualAddress(Text + 0x18008),
                _ => null,
            },
            Read),
        null);

    public void Dispose() => Memory.Dispose();

    private bool Read(VirtualAddress address, Span<byte> destination) =>
        new PageTableWalk(Memory, new PhysicalAddress(FakeMemory.Root)).TryTranslate(address, out Mapping mapping)
        && Memory.TryRead(mapping.Target + (address - mapping.Address), destination);

    private byte[] Types()
    {
        var btf = new BtfBuilder();
        uint word = btf.Int("unsigned long", 8);
        uint half = btf.Int("unsigned int", 4);
        btf.Struct("page", 64, ("flags", word, 0), ("compound_head", word, 64), ("mapping", word, 192), ("private", word, 320), ("page_type", half, 384), ("_refcount", half, 416));
        (string, int)[] flags = [("PG_locked", 0), ("PG_lru", 5), ("PG_reserved", 14)];
        btf.Enum("pageflags", Shape == "6.1" ? [.. flags, ("PG_slab", 9)] : flags);
        if (Shape == "6.11")
        {
            btf.Enum("pagetype", ("PG_buddy", 0x40000000), ("PG_table", 0x10000000), ("PG_slab", 0x02000000), ("PAGE_TYPE_BASE", int.MinValue));
        }
        else if (Shape == "6.12")
        {
            btf.Enum("pagetype", ("PGTY_buddy", 0xf0), ("PGTY_table", 0xf2), ("PGTY_hugetlb", 0xf4), ("PGTY_slab", 0xf5));
        }

        return btf.Build();
    }
}

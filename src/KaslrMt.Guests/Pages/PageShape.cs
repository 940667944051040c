using KaslrMt.Kernels;

namespace KaslrMt.Guests;

/// <summary>Where a kernel's <c>struct page</c> keeps what tells a page's use, and how it marks a page's type.</summary>
/// <remarks>
/// The members come from the kernel's own type information. How <c>page_type</c> is coded is in enumerations from 6.11 on
/// (<c>include/linux/page-flags.h</c>); before, its constants are macros, and what 4.18 to 6.10 have in common is taken.
/// </remarks>
internal sealed class PageShape
{
    // Before 6.11: 0xf0000000 is the base, and a type clears its bit. PG_slab moved there in 6.10.
    private const uint OldBase = 0xf0000000;
    private const uint OldBuddy = 0x80;
    private const uint OldTable = 0x200;
    private const uint OldHugetlb = 0x800;
    private const uint OldSlab = 0x1000;
    private const int LargestStruct = 512;

    private readonly bool _byNumber;

    /// <summary>Looks the members up.</summary>
    /// <exception cref="KaslrMtException">KMT2703 when the kernel's pages have another shape; KMT2702.</exception>
    internal PageShape(TypeTable types)
    {
        StructType page = types.RequiredStruct("page");
        Size = page.Size is >= 32 and <= LargestStruct ? page.Size : throw Unknown($"a struct page of {page.Size} bytes");
        Flags = Offset(page, "flags", sizeof(ulong));
        Mapping = Offset(page, "mapping", sizeof(ulong));
        Private = Offset(page, "private", sizeof(ulong));
        Type = Offset(page, "page_type", sizeof(uint));
        References = Offset(page, "_refcount", sizeof(uint));

        // compound_info from 7.0 on; its lowest bit says the same.
        Compound = Offset(page, page.Find("compound_head") is null ? "compound_info" : "compound_head", sizeof(ulong));
        Reserved = Flag(types, "PG_reserved") ?? throw Unknown("no page flag PG_reserved");
        Lru = Flag(types, "PG_lru") ?? throw Unknown("no page flag PG_lru");
        SlabFlag = Flag(types, "PG_slab") ?? 0;
        if (types.EnumValue("pagetype", "PGTY_buddy") is long buddy)
        {
            _byNumber = true;
            Buddy = (uint)buddy;
            Table = Number("PGTY_table");
            Slab = Number("PGTY_slab");
            Hugetlb = Number("PGTY_hugetlb");
            LargeObject = Number("PGTY_large_kmalloc");
        }
        else
        {
            // 6.11 has the bits in an enumeration, earlier ones in macros. A table of that enumeration has no macro of that name beside it.
            Base = Number("PAGE_TYPE_BASE") is uint given and not 0 ? given : types.EnumValue("pagetype", "PG_buddy") is null ? OldBase : 0x80000000;
            Buddy = Number("PG_buddy") is uint free and not 0 ? free : OldBuddy;
            Table = Number("PG_table") is uint table and not 0 ? table : OldTable;
            Hugetlb = Number("PG_hugetlb") is uint huge and not 0 ? huge : OldHugetlb;
            Slab = Number("PG_slab") is uint slab and not 0 ? slab : SlabFlag == 0 ? OldSlab : 0;
        }

        uint Number(string constant) => (uint)(types.EnumValue("pagetype", constant) ?? 0);
    }

    /// <summary>Bytes of a <c>struct page</c>.</summary>
    internal int Size { get; }

    internal int Flags { get; }

    internal int Mapping { get; }

    internal int Private { get; }

    internal int Type { get; }

    internal int References { get; }

    internal int Compound { get; }

    /// <summary>The bit of a page that the allocator never had.</summary>
    internal ulong Reserved { get; }

    /// <summary>The bit of a page in a list of least recently used ones.</summary>
    internal ulong Lru { get; }

    /// <summary>The bit of a slab page before 6.10; 0 later.</summary>
    internal ulong SlabFlag { get; }

    private uint Base { get; }

    private uint Buddy { get; }

    private uint Table { get; }

    private uint Slab { get; }

    private uint Hugetlb { get; }

    // Objects too large for a slab, which /proc/meminfo counts as slab; from 6.15 on they can be told from other pages.
    private uint LargeObject { get; }

    /// <summary>What a <c>page_type</c> says; null for a page without a type of those known here.</summary>
    internal PageClass? ClassOf(uint type)
    {
        // A page without a type has the number of its mappings there, less one: −1, or a small positive number.
        if (type == uint.MaxValue || type < 0x80)
        {
            return null;
        }

        return Is(type, Buddy) ? PageClass.Free
            : Is(type, Table) ? PageClass.PageTable
            : Is(type, Slab) || Is(type, LargeObject) ? PageClass.Slab
            : Is(type, Hugetlb) ? PageClass.User
            : null;
    }

    private bool Is(uint type, uint wanted) => wanted != 0 && (_byNumber ? type >> 24 == wanted : (type & (Base | wanted)) == Base);

    private static ulong? Flag(TypeTable types, string name) => types.EnumValue("pageflags", name) is long bit and >= 0 and < 64 ? 1UL << (int)bit : null;

    private static int Offset(StructType page, string path, int size)
    {
        Field field = page.Required(path);
        return field.Size == size && field.BitSize == 0 ? field.Offset : throw Unknown($"a member {path} of {field.Size} bytes, expected {size}");
    }

    private static KaslrMtException Unknown(string problem) =>
        new(KernelErrors.TypeMissing, $"the kernel's pages have a shape that is not known: {problem}", "this kernel is not supported, or damaged");
}

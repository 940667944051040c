namespace KaslrMt.Kernels.Tests;

public sealed class TypeTableTests
{
    [Fact]
    public void Members_are_found_by_path_through_nameless_structures_typedefs_and_qualifiers()
    {
        var btf = new BtfBuilder();
        uint word = btf.Int("long", 8);
        uint nameless = btf.Struct("", 16, ("first", word, 0), ("second", word, 64));
        uint union = btf.Union("", 16, ("whole", word, 0), ("", nameless, 0));
        uint constant = btf.Other("", TypeKind.Const, union);
        uint inner = btf.Struct("inner", 24, ("flags", word, 0), ("", constant, 64));
        uint alias = btf.Other("inner_t", TypeKind.Typedef, inner);
        btf.Struct("outer", 48, ("head", word, 0), ("in", alias, 64), ("next", btf.Pointer(btf.Last + 2), 256));
        TypeTable types = TypeTable.Read(btf.Build());

        StructType outer = types.RequiredStruct("outer");
        Assert.Equal((48, 40), (outer.Size, outer.Required("next").Offset - outer.Required("head").Offset + 8));
        Assert.Equal(8 + 8 + 8, outer.Required("in.second").Offset);
        Assert.Equal(16, outer.Required("in.whole").Offset);
        Assert.Equal("inner_t", outer.Required("in").Type.Name);
        Assert.Equal(24, outer.Required("in").Size);
        Assert.Equal(24, types.RequiredStruct("inner_t").Size);
        Assert.Null(outer.Find("second"));
        Assert.Null(outer.Find("in.third"));
        Assert.Null(outer.Find("head.second"));
        Assert.Null(types.Struct("nothing"));
        Assert.Null(types.Struct("long"));
        Assert.Equal(KernelErrors.TypeMissing, Assert.Throws<KaslrMtException>(() => types.RequiredStruct("nothing")).Code);
        Assert.Equal(KernelErrors.TypeMissing, Assert.Throws<KaslrMtException>(() => outer.Required("in.third")).Code);
    }

    [Fact]
    public void Arrays_pointers_and_bit_fields_have_their_sizes_and_places()
    {
        var btf = new BtfBuilder();
        uint letter = btf.Int("char", 1);
        uint word = btf.Int("unsigned int", 4);
        uint element = btf.Struct("entry", 8, ("a", word, 0), ("b", word, 32));
        uint array = btf.Array(element, 3);
        uint twice = btf.Array(btf.Array(letter, 5), 4);
        btf.BitFields("all", 60, ("low", word, 0, 3), ("high", word, 11, 21), ("list", array, 32, 0), ("text", twice, 224, 0), ("tail", btf.Array(word, 0), 480, 0));
        TypeTable types = TypeTable.Read(btf.Build());

        StructType all = types.RequiredStruct("all");
        Assert.Equal((0, 0, 3), Place(all.Required("low")));
        Assert.Equal((1, 3, 21), Place(all.Required("high")));
        Assert.Equal((4, 0, 0), Place(all.Required("list")));
        Assert.Equal((24, 3), (all.Required("list").Size, all.Required("list").Type.ElementCount));
        Assert.Equal(4, all.Required("list").Type.Element!.Value.Struct!.Required("b").Offset);
        Assert.Equal(20, all.Required("text").Size);
        Assert.Equal((60, 0, 0), (all.Required("tail").Offset, all.Required("tail").Size, all.Required("tail").Type.ElementCount));
    }

    [Fact]
    public void Constants_of_both_kinds_of_enumeration_come_out_with_their_sign()
    {
        var btf = new BtfBuilder();
        btf.Enum("pageflags", ("PG_locked", 0), ("PG_slab", 9), ("PG_none", -1));
        btf.Other("pagetype_t", TypeKind.Typedef, btf.Enum64("pagetype", ("PGTY_buddy", 0xf0), ("PGTY_large", long.MinValue + 5)));
        TypeTable types = TypeTable.Read(btf.Build());
        Assert.Equal(9, types.EnumValue("pageflags", "PG_slab"));
        Assert.Equal(-1, types.EnumValue("pageflags", "PG_none"));
        Assert.Equal(long.MinValue + 5, types.EnumValue("pagetype_t", "PGTY_large"));
        Assert.Null(types.EnumValue("pageflags", "PG_buddy"));
        Assert.Null(types.EnumValue("nothing", "PG_slab"));
    }

    [Fact]
    public void The_first_of_several_structures_of_one_name_is_given_and_enumerations_do_not_hide_it()
    {
        var btf = new BtfBuilder();
        btf.Enum("thing", ("A", 1));
        btf.Struct("thing", 8);
        btf.Struct("thing", 16);
        Assert.Equal(8, TypeTable.Read(btf.Build()).RequiredStruct("thing").Size);
    }

    [Fact]
    public void A_longer_header_of_a_later_kernel_is_passed_over()
    {
        var btf = new BtfBuilder { HeaderBytes = 32 };
        btf.Struct("thing", 8);
        Assert.Equal(8, TypeTable.Read(btf.Build()).RequiredStruct("thing").Size);
    }

    [Fact]
    public void Circles_of_typedefs_arrays_and_nameless_structures_are_refused_after_bounded_work()
    {
        var btf = new BtfBuilder();
        uint typedef = btf.Other("circle", TypeKind.Typedef, btf.Last + 1);
        uint array = btf.Array(btf.Last + 1, 1);
        uint self = btf.Last + 1;
        btf.Struct("nest", 8, ("", self, 0), ("", self, 0), ("", self, 0));
        btf.Struct("user", 8, ("typedef", typedef, 0), ("array", array, 0), ("far", 999, 0));
        TypeTable types = TypeTable.Read(btf.Build());
        Assert.Equal(KernelErrors.TypesInconsistent, Refused(() => types.Struct("circle")));
        Assert.Equal(KernelErrors.TypesInconsistent, Refused(() => types.RequiredStruct("nest").Find("x")));
        Assert.Equal(KernelErrors.TypesInconsistent, Refused(() => types.RequiredStruct("user").Find("typedef")));
        Assert.Equal(KernelErrors.TypesInconsistent, Refused(() => types.RequiredStruct("user").Find("array")));
        Assert.Equal(KernelErrors.TypesInconsistent, Refused(() => types.RequiredStruct("user").Find("far")));
    }

    [Fact]
    public void A_member_outside_its_structure_is_refused()
    {
        var btf = new BtfBuilder();
        uint word = btf.Int("long", 8);
        btf.Struct("thing", 8, ("far", word, 32), ("farther", word, uint.MaxValue), ("vast", btf.Array(btf.Array(word, 0x7fffffff), 0x7fffffff), 0));
        StructType thing = TypeTable.Read(btf.Build()).RequiredStruct("thing");
        Assert.All(["far", "farther", "vast"], name => Assert.Equal(KernelErrors.TypesInconsistent, Refused(() => thing.Find(name))));
    }

    [Fact]
    public void Every_truncation_is_refused()
    {
        var btf = new BtfBuilder();
        btf.Struct("thing", 8, ("a", btf.Int("int", 4), 0));
        byte[] bytes = btf.Build();
        for (int length = 0; length < bytes.Length; length++)
        {
            ErrorCode code = Refused(() => TypeTable.Read(bytes.AsMemory(0, length)));
            Assert.Equal(length < 24 ? KernelErrors.NotTypes : KernelErrors.TypesInconsistent, code);
        }

        Assert.Equal(3, TypeTable.Read(bytes).Count);
    }

    private static ErrorCode Refused(Func<object?> act) => Assert.Throws<KaslrMtException>(act).Code;

    private static (int Offset, int BitOffset, int BitSize) Place(Field field) => (field.Offset, field.BitOffset, field.BitSize);
}

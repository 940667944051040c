using Xunit.Abstractions;

namespace KaslrMt.Kernels.Tests;

/// <summary>The type information of real kernels: facts that their sources state, and damage.</summary>
public sealed class RealKernelTypesTests(ITestOutputHelper output)
{
    private const int Mutants = 300;

    private static readonly string[] Wanted = ["page", "module", "task_struct", "list_head", "vm_struct", "kmem_cache"];

    public static TheoryData<string> Kernels => [.. TestKernels.Names()];

    public static TheoryData<string> Always => [.. TestKernels.Always];

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Structures_have_the_places_that_the_sources_give_them(string name)
    {
        TypeTable types = TypeTable.Read(ReadBtf(name));
        Assert.InRange(types.Count, 50_000, TypeTable.MaxTypes);

        StructType page = types.RequiredStruct("page");
        Assert.Equal(64, page.Size);
        Assert.Equal((0, 8, 52), (page.Required("flags").Offset, page.Required("lru.next").Offset, page.Required("_refcount").Offset));
        Assert.Equal((16, 8), (types.RequiredStruct("list_head").Size, types.RequiredStruct("list_head").Required("prev").Offset));
        Assert.Equal(4, types.RequiredStruct("atomic_t").Size);

        StructType module = types.RequiredStruct("module");
        Field text = module.Required("name");
        Assert.Equal((24, 56, 56), (text.Offset, text.Size, text.Type.ElementCount));
        Assert.Equal(8, module.Required("list.next").Offset);
        Assert.Equal(0, types.EnumValue("module_state", "MODULE_STATE_LIVE"));
        Assert.Equal(0, types.EnumValue("pageflags", "PG_locked"));
    }

    [Theory]
    [InlineData("6.1-cloud", true)]
    [InlineData("6.12-cloud", false)]
    public void The_two_shapes_of_struct_module_are_told_apart(string name, bool before64)
    {
        StructType module = TypeTable.Read(ReadBtf(name)).RequiredStruct("module");
        Assert.Equal(before64, module.Find("core_layout.ro_after_init_size") is not null);
        Assert.Equal(before64, module.Find("mem") is null);
        if (module.Find("mem") is Field mem)
        {
            Assert.Equal(7, mem.Type.ElementCount);
            Assert.Equal(mem.Size / 7, mem.Type.Element!.Value.Struct!.Size);
        }
    }

    [Theory]
    [MemberData(nameof(Always))]
    public void Damaged_types_give_an_answer_or_a_numbered_error(string name)
    {
        byte[] btf = ReadBtf(name);
        Range[] parts = [0..24, 24..^0, 24..600];
        Mutation.Run(output, Mutants, 2700..2799, random => Mutation.InPlace(btf, parts[random.Next(parts.Length)], random, () =>
        {
            TypeTable types = TypeTable.Read(btf);
            foreach (string wanted in Wanted)
            {
                StructType found = types.RequiredStruct(wanted);
                _ = found.Find("list.next") ?? found.Find("cpus_mask.bits") ?? found.Find("mem");
            }

            _ = types.EnumValue("pageflags", "PG_slab");
            return true;
        }));
    }

    private static byte[] ReadBtf(string name)
    {
        byte[] flat = RealKernel.ReadFlat(name);
        VirtualAddress start = RealKernel.LinkBase;
        Kallsyms symbols = Kallsyms.Copy(flat, start);
        return flat[(int)(Address("__start_BTF") - start)..(int)(Address("__stop_BTF") - start)];

        VirtualAddress Address(string symbol) => symbols.All(symbol).Single().Address;
    }
}

using System.Text;
using Iced.Intel;
using KaslrMt.Layout;

namespace KaslrMt.Kernels.Tests;

/// <summary>Where modules are placed by name: the places in real kernels, and the code put there.</summary>
public sealed class ModuleNamePatchTests : IDisposable
{
    private readonly string _folder = MemoryFolder.Create();

    public static TheoryData<string> Kernels => [.. TestKernels.Names()];

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [MemberData(nameof(Kernels))]
    public void The_code_lies_in_filler_and_only_calls_are_replaced(string name)
    {
        using var kernel = KernelInspection.Of(TestKernels.Image(name));
        ModuleNamePatch patch = ModuleNamePatch.Locate(kernel.File, kernel.Elf!, kernel.Symbols!);
        byte[] before = kernel.File.Slice((int)patch.CodeOffset, patch.Code.Length).ToArray();
        Assert.True(Array.TrueForAll(before, value => value == before[0]) && before[0] is 0 or 0xcc, "there is something where the code goes");
        Assert.NotEmpty(patch.Jumps);
        foreach (ModuleNamePatch.Jump jump in patch.Jumps)
        {
            Assert.Equal(0xe8, kernel.File[(int)jump.Offset]);
            Assert.Equal(5, jump.Bytes.Length);
        }
    }

    // Text out of shared blocks lies by the order of modules again.
    [Theory]
    [MemberData(nameof(Kernels))]
    public void Kernels_that_can_cut_text_out_of_large_blocks_are_told_not_to(string name)
    {
        using var kernel = KernelInspection.Of(TestKernels.Image(name));
        kernel.Symbols!.TryResolve(["execmem_vmalloc"], out VirtualAddress?[] blocks);
        ModuleNamePatch patch = ModuleNamePatch.Locate(kernel.File, kernel.Elf!, kernel.Symbols);
        Assert.Equal(blocks[0] is null ? 0 : 1, patch.Jumps.Count(jump => jump.AtBoot));
    }

    // A kernel that loads modules in another way says so, whatever it is made of.
    [Theory]
    [InlineData("6.1-cloud", "load_module")]
    [InlineData("6.12-cloud", "load_module")]
    [InlineData("6.12-cloud", "execmem_alloc")]
    public void A_function_that_does_something_else_is_refused(string name, string function)
    {
        using var kernel = KernelInspection.Of(TestKernels.Image(name));
        kernel.Symbols!.TryResolve([function], out VirtualAddress?[] start);
        Assert.True(kernel.Elf!.TryGetFileOffset(start[0]!.Value, 4096, out int offset));
        kernel.File.Slice(offset, 0x3000).Fill(0x90);
        KaslrMtException error = Assert.Throws<KaslrMtException>(() => ModuleNamePatch.Locate(kernel.File, kernel.Elf, kernel.Symbols));
        Assert.Equal(KernelErrors.ModuleNames, error.Code);
    }

    // With page-table isolation the large pages of the entry code are mapped while user code runs.
    [Theory]
    [MemberData(nameof(Kernels))]
    public void The_code_shares_no_large_page_with_the_entry_code(string name)
    {
        using var kernel = KernelInspection.Of(TestKernels.Image(name));
        ModuleNamePatch patch = ModuleNamePatch.Locate(kernel.File, kernel.Elf!, kernel.Symbols!);
        kernel.Symbols!.TryResolve(["__entry_text_start", "__entry_text_end"], out VirtualAddress?[] entry);
        Assert.True(kernel.Elf!.TryGetFileOffset(entry[0]!.Value, 1, out int first));
        const long largePage = 2 << 20;
        long from = first - (long)(entry[0]!.Value.Value % largePage);
        long to = from + (((long)(entry[1]!.Value - entry[0]!.Value) + first - from + largePage - 1) / largePage * largePage);
        Assert.False(patch.CodeOffset < to && patch.CodeOffset + patch.Code.Length > from, "the code would be mapped for user space");
    }

    // Mitigations rewrite returns and indirect branches at boot; code they do not know must have none.
    [Theory]
    [MemberData(nameof(Kernels))]
    public void The_code_branches_directly_alone_and_never_into_the_middle_of_an_instruction(string name)
    {
        using var kernel = KernelInspection.Of(TestKernels.Image(name));
        ModuleNamePatch patch = ModuleNamePatch.Locate(kernel.File, kernel.Elf!, kernel.Symbols!);
        var decoder = Iced.Intel.Decoder.Create(64, patch.Code, 0x1000);
        List<Instruction> code = [];
        while (decoder.IP < 0x1000 + (ulong)patch.Code.Length)
        {
            code.Add(decoder.Decode());
        }

        Assert.DoesNotContain(code, instruction => instruction.IsInvalid || instruction.FlowControl is FlowControl.Return or FlowControl.IndirectBranch or FlowControl.IndirectCall);
        HashSet<ulong> starts = [.. code.Select(instruction => instruction.IP)];
        Assert.All(
            code.Where(instruction => instruction.IsJccShortOrNear || instruction.IsJmpShort),
            branch => Assert.Contains(branch.NearBranchTarget, starts));
        Assert.Equal(0x1000UL + (ulong)patch.SaltOffset - 1, code.Single(instruction => instruction.Code == Code.Mov_r32_imm32 && instruction.Op0Register == Register.EAX).IP);
    }

    [Fact]
    public void An_image_by_order_is_as_it_was_and_one_by_name_differs_in_the_patch_alone()
    {
        using KernelImage kernel = KernelImage.Open(TestKernels.Image("6.12-cloud"));
        using KernelLayout layout = Layouts.Of(kernel.Geometry, 7);
        byte[] order = Write(kernel, layout, ModuleAddresses.ByOrder), name = Write(kernel, layout, ModuleAddresses.ByName);
        ModuleNamePatch patch = kernel.Facts.ModuleNames!;
        byte[] expected = [.. order];
        patch.CodeFor(layout[Region.Modules].Slot).CopyTo(expected, patch.CodeOffset);
        foreach (ModuleNamePatch.Jump jump in patch.Jumps)
        {
            jump.Bytes.CopyTo(expected, jump.Offset);
        }

        Assert.NotEqual(order, name);
        Assert.Equal(expected, name);
    }

    // A promise: a tenant's VMs agree over versions of this program. Figures of an independent program.
    [Theory]
    [InlineData("kvm", 0, 0x7304000)]
    [InlineData("kvm", 5, 0xbfad000)]
    [InlineData("virtio_blk", 1023, 0xabff000)]
    public void A_name_gives_its_place_for_ever(string name, ulong slot, ulong start) => Assert.Equal(start, ModuleNameCode.Start(Encoding.ASCII.GetBytes(name), slot));

    private byte[] Write(KernelImage kernel, KernelLayout layout, ModuleAddresses modules)
    {
        string path = Path.Combine(_folder, modules.ToString());
        kernel.WriteBootImage(layout, path, null, modules);
        return File.ReadAllBytes(path);
    }
}

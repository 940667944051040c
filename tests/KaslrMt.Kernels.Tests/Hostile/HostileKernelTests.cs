using System.Buffers.Binary;
using Iced.Intel;

namespace KaslrMt.Kernels.Tests;

/// <summary>Real kernels with one thing wrong, through the whole inspection: each has the number of its error, and says what is wrong.</summary>
public sealed class HostileKernelTests
{
    private static readonly string[] Needed =
        [BootSymbols.SetupArch, BootSymbols.KernelRandomizeMemory, BootSymbols.PageOffsetBase, BootSymbols.VmallocBase, BootSymbols.VmemmapBase];

    public static TheoryData<string> Kernels => [.. TestKernels.Always];

    public static TheoryData<string> AllKernels => [.. TestKernels.Names()];

    public static TheoryData<string, string> NeededSymbols
    {
        get
        {
            TheoryData<string, string> data = [];
            foreach (string kernel in TestKernels.Always)
            {
                foreach (string symbol in Needed)
                {
                    data.Add(kernel, symbol);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(AllKernels))]
    public void An_undamaged_kernel_has_no_problem_and_draws_its_module_offset(string name)
    {
        HostileKernel kernel = new(name);
        using KernelInspection found = KernelInspection.Of(kernel.File);

        Assert.Null(found.Problem);
        Assert.NotNull(found.Patch?.ModuleOffset);
        Assert.True(kernel.Has(BootSymbols.LoadableModules));
    }

    [Theory]
    [InlineData("offset past the end", 8, 0x7fffffff, 2204)]
    [InlineData("file size past the end", 32, 0x7fffffff, 2204)]
    [InlineData("more in the file than in memory", 40, 0x1000, 2205)]
    [InlineData("overlaps the next segment", 40, 0x3e000000, 2208)]
    [InlineData("above 1 GiB", 24, 0x40000000, 2210)]
    [InlineData("linked elsewhere", 16, 0x1000, 2215)]
    public void A_text_segment_that_lies(string what, int field, long value, int number)
    {
        HostileKernel kernel = new("6.1-cloud");
        int text = kernel.LoadHeaders().Single(header => BinaryPrimitives.ReadUInt64LittleEndian(kernel.File.AsSpan(header + 24)) == 16 << 20);
        BinaryPrimitives.WriteInt64LittleEndian(kernel.File.AsSpan(text + field), value);

        KaslrMtException? problem = kernel.Inspect();
        Assert.True(problem?.Code.Number == number, $"{what}: {problem?.Code} {problem?.Message}");
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void A_relocation_outside_the_image(string name)
    {
        HostileKernel kernel = new(name);
        BinaryPrimitives.WriteUInt32LittleEndian(kernel.File.AsSpan(kernel.File.Length - 4), 0xbfff_fff0);

        Assert.Equal(KernelErrors.RelocationOutside, kernel.Inspect()?.Code);
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void A_relocation_table_without_an_end(string name)
    {
        HostileKernel kernel = new(name);
        kernel.File.AsSpan(kernel.Elf.FileEnd).Replace((byte)0, (byte)0x81);

        Assert.Equal(KernelErrors.RelocationTerminator, kernel.Inspect()?.Code);
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void A_stripped_vmlinux_without_its_table(string name)
    {
        HostileKernel kernel = new(name);
        using KernelInspection found = KernelInspection.Of(kernel.File.AsSpan(0, kernel.Elf.FileEnd));

        Assert.Equal(KernelErrors.NoRelaSections, found.Problem?.Code);
    }

    [Fact]
    public void A_vmlinux_whose_relocations_were_stripped_all_but_a_few()
    {
        // What a build since 6.12 leaves as "vmlinux": only .relaruntime_* sections, with nothing in them that moves the kernel.
        KernelElfBuilder builder = new();
        builder.AddRelocation(KernelElfBuilder.Text, 2, KernelElfBuilder.TextAddress + 0x100, builder.AddSymbol("f", KernelElfBuilder.Text, KernelElfBuilder.TextAddress));

        using KernelInspection found = KernelInspection.Of(builder.Build());

        Assert.Equal(KernelErrors.NoRelaSections, found.Problem?.Code);
        Assert.Contains("vmlinux.unstripped", found.Problem?.Remedy, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(NeededSymbols))]
    public void A_kernel_without_a_needed_symbol(string name, string symbol)
    {
        HostileKernel kernel = new(name);
        kernel.Hide(symbol);

        KaslrMtException? problem = kernel.Inspect();
        Assert.Equal(KernelErrors.MissingSymbol, problem?.Code);
        Assert.Contains(symbol, problem!.Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void A_kernel_with_modules_whose_offset_is_drawn_in_an_unknown_function(string name)
    {
        HostileKernel kernel = new(name);
        foreach (string function in BootSymbols.ModuleOffsetFunctions)
        {
            kernel.Hide(function);
        }

        // Not to be taken for a kernel without loadable modules: it would boot, with modules where the layout does not say.
        KaslrMtException? problem = kernel.Inspect();
        Assert.Equal(KernelErrors.MissingSymbol, problem?.Code);
        Assert.Contains(BootSymbols.ModuleOffsetFunctions[0], problem!.Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void A_kernel_with_fixed_regions(string name)
    {
        HostileKernel kernel = new(name);
        kernel.Introduce(BootSymbols.FixedRegionMarks[0]);

        Assert.Equal(KernelErrors.FixedRegions, kernel.Inspect()?.Code);
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void A_call_site_that_is_missing(string name)
    {
        HostileKernel kernel = new(name);
        BootPatch.Nop5.CopyTo(kernel.Bytes(new VirtualAddress(RandomizeCall(kernel).IP), 5));

        KaslrMtException? problem = kernel.Inspect();
        Assert.Equal(KernelErrors.CallSite, problem?.Code);
        Assert.Contains("holds 0 calls", problem!.Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void A_call_site_that_is_there_twice(string name)
    {
        HostileKernel kernel = new(name);
        VirtualAddress target = kernel.Address(BootSymbols.KernelRandomizeMemory);
        Instruction other = kernel.Function(BootSymbols.SetupArch).Instructions
            .First(instruction => instruction.Code == Code.Call_rel32_64 && instruction.NearBranchTarget != target.Value);
        BinaryPrimitives.WriteInt32LittleEndian(kernel.Bytes(new VirtualAddress(other.IP + 1), 4), (int)(long)(target.Value - other.NextIP));

        KaslrMtException? problem = kernel.Inspect();
        Assert.Equal(KernelErrors.CallSite, problem?.Code);
        Assert.Contains("holds 2 calls", problem!.Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void A_module_offset_that_is_not_drawn(string name)
    {
        HostileKernel kernel = new(name);
        KernelFunction function = kernel.Function(BootSymbols.ModuleOffsetFunctions.First(kernel.Has));
        VirtualAddress[] random = [.. BootSymbols.RandomFunctions.Where(kernel.Has).Select(kernel.Address)];
        int call = Assert.Single(function.CallsTo(random));
        BootPatch.Nop5.CopyTo(kernel.File.AsSpan(function.OffsetOf(call)));

        Assert.Equal(KernelErrors.CallSite, kernel.Inspect()?.Code);
    }

    [Theory]
    [InlineData(BootSymbols.PageOffsetBase, 0xff11000000000000)]
    [InlineData(BootSymbols.VmallocBase, 0)]
    [InlineData(BootSymbols.VmemmapBase, ulong.MaxValue)]
    public void A_region_variable_with_another_value(string variable, ulong value)
    {
        HostileKernel kernel = new("6.12-cloud");
        BinaryPrimitives.WriteUInt64LittleEndian(kernel.Bytes(variable, 8), value);

        KaslrMtException? problem = kernel.Inspect();
        Assert.Equal(KernelErrors.PatchVariable, problem?.Code);
        Assert.Contains($"found 0x{value:x16}", problem!.Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void A_preferred_address_that_the_unpacked_kernel_does_not_have(string name)
    {
        byte[] file = RealKernel.ReadFile(name);
        BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(0x258), 32 << 20);

        using KernelInspection found = KernelInspection.Of(file);

        Assert.Equal(KernelErrors.PatchGeometry, found.Problem?.Code);
    }

    private static Instruction RandomizeCall(HostileKernel kernel)
    {
        KernelFunction setup = kernel.Function(BootSymbols.SetupArch);
        return setup.Instructions[Assert.Single(setup.CallsTo([kernel.Address(BootSymbols.KernelRandomizeMemory)]))];
    }
}

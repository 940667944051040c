using Xunit.Abstractions;
using static KaslrMt.Kernels.Tests.KernelElfBuilder;

namespace KaslrMt.Kernels.Tests;

/// <summary>Damaged and hostile images end in a numbered error or in something that is safe to use; nothing else may be thrown.</summary>
public class ElfAndRelocationMutationTests(ITestOutputHelper output)
{
    private static readonly Range Codes = 2200..2399;

    public static TheoryData<string> Kernels => [.. TestKernels.Always];

    [Fact]
    public void Mutants_of_all_headers()
    {
        byte[] original = SmallKernel();
        int sectionHeaders = ElfImage.Read(original).FileEnd - (10 * 64);
        Mutation.Run(output, 20_000, Codes, random =>
        {
            byte[] mutant = (byte[])original.Clone();
            Mutation.Mutate(random, random.Next(2) == 0 ? mutant.AsSpan(0, 288) : mutant.AsSpan(sectionHeaders, 10 * 64));
            return CheckUsable(mutant, random);
        });
    }

    [Fact]
    public void Mutants_of_the_relocation_table()
    {
        byte[] original = SmallKernel();
        int table = ElfImage.Read(original).FileEnd;
        Mutation.Run(output, 20_000, Codes, random =>
        {
            byte[] mutant = (byte[])original.Clone();
            Mutation.Mutate(random, mutant.AsSpan(table));
            return CheckUsable(mutant.AsSpan(0, mutant.Length - random.Next(3)).ToArray(), random);
        });
    }

    [Fact]
    public void Mutants_of_relocation_and_symbol_sections()
    {
        byte[] original = SmallKernel();
        ElfImage elf = ElfImage.Read(original);
        Mutation.Run(output, 20_000, Codes, random =>
        {
            byte[] mutant = (byte[])original.Clone();
            Mutation.Mutate(random, mutant.AsSpan(0x4000, elf.FileEnd - 0x4000));
            RelocationTable table = RelocationTable.FromRelaSections(mutant, ElfImage.Read(mutant));
            table.Apply(mutant, 0x200000);
            return true;
        });
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Mutants_of_real_kernels(string name)
    {
        byte[] payload = RealKernel.ReadUnpacked(name);
        ElfImage elf = ElfImage.Read(payload);
        int sectionHeaders = elf.Sections.Length * 64;
        Mutation.Run(output, 5_000, Codes, random =>
        {
            Range part = random.Next(2) == 0 ? ..(64 + (elf.Segments.Length * 56)) : (elf.FileEnd - sectionHeaders)..elf.FileEnd;
            return Mutation.InPlace(payload, part, random, () =>
            {
                CheckInside(payload, ElfImage.Read(payload));
                return true;
            });
        });

        Mutation.Run(output, 1_000, Codes, random => Mutation.InPlace(payload, elf.FileEnd.., random, () =>
        {
            RelocationTable table = RelocationTable.Read(payload, elf);
            table.Apply(payload, 0x200000);
            table.Apply(payload, unchecked(0UL - 0x200000));
            return true;
        }));
    }

    private static bool CheckUsable(byte[] mutant, Random random)
    {
        ElfImage elf = ElfImage.Read(mutant);
        CheckInside(mutant, elf);
        foreach (ElfSegment load in elf.Loads)
        {
            if (elf.TryGetFileOffset(load.PhysicalAddress + (ulong)random.Next(0x2000), random.Next(16), out int offset))
            {
                Assert.InRange(offset, load.FileOffset, load.FileEnd);
            }
        }

        RelocationTable table = RelocationTable.Read(mutant, elf);
        byte[] moved = (byte[])mutant.Clone();
        table.Apply(moved, 0x200000);
        Assert.Equal(table.Count, table.Add32.Length + table.Subtract32.Length + table.Add64.Length);
        return true;
    }

    private static void CheckInside(byte[] file, ElfImage elf)
    {
        Assert.InRange(elf.FileEnd, 64, file.Length);
        Assert.InRange(elf.Span, 1, 1 << 30);
        foreach (ElfSegment segment in elf.Segments)
        {
            Assert.InRange(segment.FileOffset, 0, file.Length - segment.FileSize);
        }

        foreach (ElfSection section in elf.Sections)
        {
            Assert.InRange(section.FileOffset, 0, file.Length - section.FileSize);
        }
    }

    private static byte[] SmallKernel()
    {
        var builder = new KernelElfBuilder();
        uint function = builder.AddSymbol("a_function", Text, TextAddress);
        uint perCpu = builder.AddSymbol("cpu_number", PerCpu, 8);
        uint end = builder.AddSymbol("_end", Absolute, DataAddress);
        builder.AddRelocation(Text, 1, TextAddress + 0x100, function);
        builder.AddRelocation(Text, 2, TextAddress + 0x110, perCpu);
        builder.AddRelocation(Text, 9, TextAddress + 0x120, end, -4);
        builder.Contents[TextOffset + 0x122] = 0x20;
        builder.AddRelocation(Data, 11, DataAddress + 0x20, end);
        builder.AddRelocation(PerCpu, 1, 0x20, function);
        uint text = unchecked((uint)TextAddress);
        uint data = unchecked((uint)DataAddress);
        return builder.Build(0, text, text + 8, data, 0, text + 16, text + 20, 0, data + 8, data + 16, unchecked((uint)PerCpuLoadAddress));
    }
}

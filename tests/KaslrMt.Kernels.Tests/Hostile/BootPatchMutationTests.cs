using Xunit.Abstractions;

namespace KaslrMt.Kernels.Tests;

/// <summary>Damaged code and variables end in a numbered error, or in patch sites inside the image.</summary>
public sealed class BootPatchMutationTests(ITestOutputHelper output)
{
    public static TheoryData<string> Kernels => [.. TestKernels.Always];

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Mutants_of_the_code_and_the_variables_that_are_looked_at(string name)
    {
        byte[] file = RealKernel.ReadUnpacked(name);
        ElfImage elf = ElfImage.Read(file);
        ElfSegment text = elf.Loads[0];
        Kallsyms symbols = Kallsyms.Copy(file.AsSpan(text.FileOffset, text.FileSize), text.VirtualAddress);
        Range[] parts = Parts(elf, symbols);
        Mutation.Run(output, 2_000, 2500..2599, random => Mutation.InPlace(file, parts[random.Next(parts.Length)], random, () =>
        {
            KernelFacts.PatchSites sites = BootPatch.Locate(file, elf, symbols).In(offset => offset);
            foreach (long? site in (long?[])[sites.RandomizeMemoryCall, sites.Physmap, sites.Vmalloc, sites.Vmemmap, sites.DirectMapEnd, sites.ModuleOffset])
            {
                Assert.InRange(site ?? 0, 0, elf.FileEnd - 8);
            }

            return true;
        }));
    }

    /// <summary>The bytes, in the image's file, of each symbol that the patch stands on.</summary>
    internal static Range[] Parts(ElfImage elf, Kallsyms symbols)
    {
        IReadOnlyDictionary<string, VirtualAddress> found = BootSymbols.FindIn(symbols);
        string[] code = [BootSymbols.SetupArch, .. BootSymbols.ModuleOffsetFunctions];
        string[] data = [BootSymbols.PageOffsetBase, BootSymbols.VmallocBase, BootSymbols.VmemmapBase];
        return [.. code.Concat(data).Where(found.ContainsKey).Select(symbol =>
        {
            int length = data.Contains(symbol) ? sizeof(ulong) : (int)(symbols.Find(found[symbol])?.Size ?? 0);
            Assert.True(elf.TryGetFileOffset(found[symbol], length, out int offset), symbol);
            return offset..(offset + length);
        })];
    }
}

using KaslrMt.Layout;
using Xunit.Abstractions;

namespace KaslrMt.Kernels.Tests;

/// <summary>
/// Damaged kernels through the whole pipeline, from the file to the bootable image: <see cref="KernelInspection.Of(ReadOnlySpan{byte})"/>
/// never throws, and what it finds nothing wrong with becomes a well-formed image.
/// </summary>
/// <remarks>
/// A compressed payload hides nearly all damage from the layers behind it, so most mutants are made of the unpacked kernel, which goes
/// in as a vmlinux with its relocation table behind it.
/// </remarks>
public sealed class PipelineMutationTests(ITestOutputHelper output) : IDisposable
{
    private const int PackedMutants = 100;
    private const int UnpackedMutants = 300;

    // Two images and their mutants at once; other tests of this process hold some hundred MiB.
    private const long MostResident = 6L << 30;

    private readonly string _folder = MemoryFolder.Create();

    public static TheoryData<string> Kernels => [.. TestKernels.Always];

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Mutants_of_the_bzImage(string name)
    {
        byte[] file = RealKernel.ReadFile(name);
        BzImage setup = BzImage.Read(file);
        int end = setup.PayloadOffset + setup.PayloadLength;
        Range[] parts = [0x1f0..0x270, setup.PayloadOffset..(setup.PayloadOffset + 64), (end - 8)..end, setup.PayloadOffset..end];
        Run(file, PackedMutants, parts);
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Mutants_of_the_unpacked_kernel(string name)
    {
        byte[] file = RealKernel.ReadUnpacked(name);
        ElfImage elf = ElfImage.Read(file);
        ElfSegment text = elf.Loads[0];
        Kallsyms symbols = Kallsyms.Copy(file.AsSpan(text.FileOffset, text.FileSize), text.VirtualAddress);
        KallsymsLayout tables = symbols.Layout;
        int from = text.FileOffset + Math.Min(tables.Names, tables.Offsets) - 8;
        int to = text.FileOffset + Math.Max(tables.TokenIndex, tables.Offsets + (4 * tables.SymbolCount));
        Range[] parts =
        [
            0..(64 + (elf.Segments.Length * 56)),
            elf.FileEnd..,
            from..(from + 64),
            from..to,
            text.FileOffset..text.FileEnd,
            .. BootPatchMutationTests.Parts(elf, symbols),
        ];
        Run(file, UnpackedMutants, parts);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private void Run(byte[] file, int mutants, Range[] parts)
    {
        string path = Path.Combine(_folder, "image");
        Mutation.Run(output, mutants, 1200..2599, random => Mutation.InPlace(file, parts[random.Next(parts.Length)], random, () =>
        {
            using (KernelInspection found = KernelInspection.Of(file))
            {
                Assert.InRange(Environment.WorkingSet, 0, MostResident);
                if (found.Problem is KaslrMtException problem)
                {
                    throw problem;
                }
            }

            using KernelImage kernel = KernelImage.Read(file);
            using KernelLayout layout = Layouts.Of(kernel.Geometry, (ulong)random.Next());
            kernel.WriteBootImage(layout, path);
            BootImageChecks.Check(File.ReadAllBytes(path), kernel.Facts, layout);
            return true;
        }));
    }
}

using Xunit.Abstractions;

namespace KaslrMt.Kernels.Tests;

/// <summary>Damaged setup headers of real kernels end in a numbered error or in fields that are safe to use.</summary>
public sealed class BzImageMutationTests(ITestOutputHelper output)
{
    private const int HeaderStart = 0x1f0;
    private const int HeaderEnd = 0x270;

    public static TheoryData<string> Kernels => [.. TestKernels.Always];

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Mutants_of_the_setup_header(string name)
    {
        byte[] file = RealKernel.ReadFile(name);
        Mutation.Run(output, 5_000, 2000..2099, random => Mutation.InPlace(file, HeaderStart..HeaderEnd, random, () =>
        {
            int length = random.Next(4) == 0 ? random.Next(file.Length) : file.Length;
            BzImage setup = BzImage.Read(file.AsSpan(0, length));
            Assert.InRange(setup.PayloadOffset, 0, length - setup.PayloadLength);
            Assert.InRange(setup.PayloadLength, 8, length);
            Assert.InRange(setup.HeaderEnd, 0x258, 0x290);
            Assert.InRange(setup.KernelAlignment, 2u << 20, 16u << 20);
            Assert.DoesNotContain(setup.Version, char.IsControl);
            return true;
        }));
    }
}

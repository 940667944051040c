using KaslrMt.Kernels;
using KaslrMt.Layout;

namespace KaslrMt.Vms.Tests.Workers;

/// <summary>Real kernels through the worker.</summary>
public sealed class WorkerKernelTests : IDisposable
{
    private readonly string _folder = Directory.CreateDirectory($"/dev/shm/kaslrmt-worker-{Path.GetRandomFileName()}").FullName;

    public static TheoryData<string> Kernels => [.. TestKernels.Names()];

    [Theory]
    [MemberData(nameof(Kernels))]
    public async Task The_image_is_that_of_the_same_process(string name)
    {
        string path = TestKernels.Image(name);
        (string ours, string theirs) = (Path.Combine(_folder, "ours"), Path.Combine(_folder, "theirs"));
        using PreparedKernel here = PreparedKernel.Open(path);
        using KernelLayout layout = Plan(here.Facts.Geometry);
        here.WriteBootImage(layout, ours);
        using PreparedKernel there = await Probe.PrepareAsync(path, Probe.Settings());
        there.WriteBootImage(layout, theirs);
        Assert.True(File.ReadAllBytes(ours).AsSpan().SequenceEqual(File.ReadAllBytes(theirs)));
        Assert.Equal(here.Facts.Release, there.Facts.Release);
        Assert.Equal(here.Relocations.Count, there.Relocations.Count);
    }

    [Fact]
    public async Task A_damaged_kernel_is_refused_as_in_the_same_process()
    {
        byte[] file = await File.ReadAllBytesAsync(TestKernels.Image("6.12-cloud"));
        string path = Path.Combine(_folder, "damaged");
        await File.WriteAllBytesAsync(path, file.AsMemory(0, file.Length / 2));
        KaslrMtException here = Assert.Throws<KaslrMtException>(() => PreparedKernel.Open(path));
        KaslrMtException there = await Assert.ThrowsAsync<KaslrMtException>(() => Probe.PrepareAsync(path, Probe.Settings()));
        Assert.Equal(here.Code, there.Code);
        Assert.Contains(there.Problem.Split(';')[0], here.Message, StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static KernelLayout Plan(KernelGeometry kernel)
    {
        using TenantKey key = TenantKey.Parse("kmt-tests!worker~key#42");
        using VmSeed seed = VmSeed.FromHex(new string('7', 64));
        var map = new GuestMemoryMap([PhysicalRange.Between(ByteSize.MiB, ByteSize.GiB)], [PhysicalRange.Between(960 * ByteSize.MiB, ByteSize.GiB)]);
        return LayoutPlanner.Plan(kernel, map, Policy.Parse("110010"), key, seed, AddressProducers.Default);
    }
}

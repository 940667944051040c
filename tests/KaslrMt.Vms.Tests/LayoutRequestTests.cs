using KaslrMt.Hypervisors;
using KaslrMt.Layout;

namespace KaslrMt.Vms.Tests;

public sealed class LayoutRequestTests : IDisposable
{
    private const string Key = "k7Wq2!mZr9Vx4#Lp", Other = "T5b@Yd8sJ1^hNc3u";

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void An_initrd_is_measured_for_each_boot()
    {
        string initrd = _scratch.Write("initrd", "small");
        using var request = new LayoutRequest
        {
            Memory = new ByteSize(256 * ByteSize.MiB),
            Machine = Hypervisor.Default.Machine("q35"),
            Initrd = initrd,
            Line = GuestCommandLine.Parse(""),
            Policy = Policy.Parse("000000"),
            Producer = AddressProducers.Parse("hkdf"),
            Key = null,
            Seed = null,
        };
        Assert.Equal(5u, request.Ram.Initrd!.Value.Length);
        File.AppendAllText(initrd, new string('x', 100_000));
        Assert.Equal(100_005u, request.Ram.Initrd!.Value.Length);
        File.Delete(initrd);
        Assert.Equal(VmErrors.Initrd, Assert.Throws<KaslrMtException>(() => request.Ram).Code);
    }

    [Fact]
    public void After_a_kernel_update_an_adopted_vm_takes_the_key_from_its_file_if_it_still_is_the_same_key()
    {
        KernelGeometry old = KernelGeometry.Usual(53_243_444), updated = KernelGeometry.Usual(57_575_404);
        using LayoutRequest withKey = Request(TenantKey.Parse(Key));
        using KernelLayout first = withKey.Plan(old), expected = withKey.Plan(updated);

        using (LayoutRequest same = Request(null, DerivedSlots.Of(first)))
        using (KernelLayout again = same.Plan(old))
        {
            Assert.Equal(first.KernelVirtual, again.KernelVirtual);
            Assert.Equal(1113, Assert.Throws<KaslrMtException>(() => same.Plan(updated)).Code.Number);
        }

        string keyFile = _scratch.Write("key", Key);
        File.SetUnixFileMode(keyFile, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        using LayoutRequest request = Request(null, DerivedSlots.Of(first), keyFile);
        using (KernelLayout found = request.Plan(updated))
        {
            Assert.Equal((expected.KernelVirtual, expected.Vmemmap, expected.Modules), (found.KernelVirtual, found.Vmemmap, found.Modules));
        }

        File.WriteAllText(keyFile, Other);
        KaslrMtException refused = Assert.Throws<KaslrMtException>(() => request.Plan(updated));
        Assert.Equal(9002, refused.Code.Number);
        Assert.DoesNotContain(Other, refused.ToString(), StringComparison.Ordinal);
    }

    private static LayoutRequest Request(TenantKey? key, DerivedSlots? earlier = null, string? keyFile = null) => new()
    {
        Memory = new ByteSize(512 * ByteSize.MiB),
        Machine = Hypervisor.Default.Machine("q35"),
        Line = GuestCommandLine.Parse("console=ttyS0"),
        Policy = Policy.Default,
        Producer = AddressProducers.Default,
        Key = key,
        KeyFile = keyFile,
        Earlier = earlier,
        Seed = null,
    };
}

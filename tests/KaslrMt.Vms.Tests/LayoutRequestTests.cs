using KaslrMt.Hypervisors;
using KaslrMt.Layout;

namespace KaslrMt.Vms.Tests;

public sealed class LayoutRequestTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void An_initrd_is_measured_for_each_boot()
    {
        string initrd = _scratch.Write("initrd", "small");
        using var request = new LayoutRequest
        {
            Memory = new ByteSize(256 * ByteSize.MiB),
            Machine = QemuMachine.Q35,
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
}

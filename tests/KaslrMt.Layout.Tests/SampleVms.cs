using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace KaslrMt.Layout.Tests;

/// <summary>Kernels, guests and secrets that many tests share. Keys and seeds are counted, so every run draws the same.</summary>
internal static class SampleVms
{
    internal static readonly KernelGeometry Kernel61 = KernelGeometry.Usual(53_243_444);
    internal static readonly KernelGeometry Kernel612 = KernelGeometry.Usual(57_575_404);

    /// <summary>
    /// RAM as QEMU's pc machine places it (split at 3 GiB, 3.5 GiB when all fits below), an initrd at the top of low memory.
    /// </summary>
    internal static GuestMemoryMap Pc(ulong size, ulong initrd = 30 * ByteSize.MiB)
    {
        ulong low = size <= 0xe000_0000 ? size : 0xc000_0000;
        var ram = new List<PhysicalRange> { Range(0, 0x9fc00), Range(ByteSize.MiB, low - ByteSize.MiB) };
        if (size > low)
        {
            ram.Add(Range(4 * ByteSize.GiB, size - low));
        }

        return new GuestMemoryMap(ram, [Range(low - initrd - 0x20000, initrd), Range(0x9000, 0x1000)]);
    }

    internal static PhysicalRange Range(ulong start, ulong length) => new(new PhysicalAddress(start), length);

    internal static TenantKey Key(int number) => TenantKey.Parse(KeyText(number));

    internal static string KeyText(int number) =>
        Convert.ToBase64String(
            SHA256.HashData(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"key {number}"))))[..32];

    internal static VmSeed Seed(int number) => VmSeed.FromHex(SeedText(number));

    internal static string SeedText(int number) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"seed {number}"))));

    internal static KernelLayout Plan(
        Policy policy,
        int key = 1,
        int seed = 1,
        GuestMemoryMap? memory = null,
        KernelGeometry? kernel = null,
        IAddressProducer? producer = null)
    {
        using TenantKey tenantKey = Key(key);
        using VmSeed vmSeed = Seed(seed);
        return LayoutPlanner.Plan(
            kernel ?? Kernel61, memory ?? Pc(512 * ByteSize.MiB), policy, tenantKey, vmSeed, producer ?? AddressProducers.Default);
    }

    internal static KaslrMtException Fails(ErrorCode code, Action action)
    {
        KaslrMtException failure = Assert.Throws<KaslrMtException>(action);
        Assert.Equal(code, failure.Code);
        Assert.DoesNotContain('\n', failure.Message);
        return failure;
    }
}

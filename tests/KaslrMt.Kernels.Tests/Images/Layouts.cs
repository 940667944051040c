using System.Globalization;
using KaslrMt.Layout;

namespace KaslrMt.Kernels.Tests;

/// <summary>Layouts for images that tests write.</summary>
internal static class Layouts
{
    /// <summary>The layout of one tenant's VM in a machine of 6 GiB with a hole below 4 GiB; another number, another VM.</summary>
    public static KernelLayout Of(KernelGeometry kernel, ulong vm, string tenant = "a-tenant-key-of-the-tests")
    {
        using TenantKey key = TenantKey.Parse(tenant);
        using VmSeed seed = VmSeed.FromHex(vm.ToString("x64", CultureInfo.InvariantCulture));
        return LayoutPlanner.Plan(kernel, Machine(), Policy.Parse("110010"), key, seed, AddressProducers.Parse("hkdf"));
    }

    private static GuestMemoryMap Machine() => new([PhysicalRange.Between(0, 2 * ByteSize.GiB), PhysicalRange.Between(4 * ByteSize.GiB, 8 * ByteSize.GiB)], []);
}

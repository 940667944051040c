using System.Globalization;

namespace KaslrMt.Bench;

/// <summary>A real kernel in the forms the benchmarks take, and layouts for it.</summary>
internal static class BenchKernel
{
    /// <summary>The unpacked payload.</summary>
    public static byte[] ReadUnpacked(string name)
    {
        using NativeBuffer unpacked = Payload.Decompress(ReadPayload(name));
        return unpacked.Span.ToArray();
    }

    /// <summary>The payload, size word included.</summary>
    public static byte[] ReadPayload(string name)
    {
        byte[] file = File.ReadAllBytes(TestKernels.Image(name));
        BzImage setup = BzImage.Read(file);
        return file.AsSpan(setup.PayloadOffset, setup.PayloadLength).ToArray();
    }

    /// <summary>The layout of a tenant's VM with that much RAM, all of it below 2 GiB; another number, another VM.</summary>
    public static KernelLayout Layout(KernelGeometry kernel, int vm, ulong memory = ByteSize.GiB)
    {
        using TenantKey key = TenantKey.Parse("kmt-bench!tenant~key#42");
        using VmSeed seed = VmSeed.FromHex(vm.ToString("x64", CultureInfo.InvariantCulture));
        var map = new GuestMemoryMap([PhysicalRange.Between(ByteSize.MiB, memory)], [PhysicalRange.Between(memory - (64 * ByteSize.MiB), memory)]);
        return LayoutPlanner.Plan(kernel, map, Policy.Parse("110010"), key, seed, AddressProducers.Default);
    }

    /// <summary>A folder on the memory file system; the caller deletes it.</summary>
    public static string MemoryFolder() => Directory.CreateDirectory(
        $"/dev/shm/kaslrmt-bench-{Path.GetRandomFileName()}", UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute).FullName;
}

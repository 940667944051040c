using KaslrMt.Guests;
using KaslrMt.Kernels;
using KaslrMt.TestSupport;

namespace KaslrMt.HashBench;

/// <summary>The pages that are hashed: of zeros, random, and a real kernel's.</summary>
internal static class Pages
{
    // More than the first-level cache holds and less than the second, as a block that was just read from a guest.
    private const int SampleBytes = 64 * PageCensus.PageSize;

    internal static byte[] Zero() => new byte[SampleBytes];

    internal static byte[] Random()
    {
        byte[] bytes = new byte[SampleBytes];
        new Random(1).NextBytes(bytes);
        return bytes;
    }

    internal static byte[] OfKernel() => [.. Kernel().AsSpan(0, SampleBytes)];

    /// <summary>A guest's RAM as it is after a boot: a kernel, a tenth of it anything, the rest zeros.</summary>
    internal static byte[] Guest(int bytes)
    {
        byte[] guest = new byte[bytes];

        // Touched, so that no census is the first to do so.
        guest.AsSpan().Clear();
        byte[] kernel = Kernel();
        kernel.AsSpan(0, Math.Min(kernel.Length, bytes / 2)).CopyTo(guest);
        new Random(2).NextBytes(guest.AsSpan(bytes / 2, bytes / 10));
        return guest;
    }

    private static byte[] Kernel()
    {
        byte[] file = File.ReadAllBytes(TestKernels.Image(TestKernels.Always[0]));
        BzImage setup = BzImage.Read(file);
        using NativeBuffer unpacked = Payload.Decompress(file.AsSpan(setup.PayloadOffset, setup.PayloadLength).ToArray());
        return unpacked.Span.ToArray();
    }
}

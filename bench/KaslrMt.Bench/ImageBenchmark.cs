namespace KaslrMt.Bench;

/// <summary>From the kernel file to the bootable ELF on a memory file system, beside the command line tools that do less.</summary>
internal static class ImageBenchmark
{
    private const int Pairs = 21;

    public static IEnumerable<Result> Run()
    {
        string folder = BenchKernel.MemoryFolder();
        try
        {
            foreach (string kernel in TestKernels.Always)
            {
                yield return Cold(kernel, folder);
                yield return Warm(kernel, folder);
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static Result Cold(string kernel, string folder)
    {
        string packed = Path.Combine(folder, "payload");
        string unpacked = Path.Combine(folder, "unpacked");
        string image = Path.Combine(folder, "image");
        byte[] payload = BenchKernel.ReadPayload(kernel);
        (string tool, string[] arguments) = Payload.Identify(payload) switch
        {
            PayloadFormat.Lz4 => ("lz4", (string[])["-d", "-f", "-q", packed, unpacked]),
            PayloadFormat.Zstd => ("zstd", ["-d", "-f", "-q", packed, "-o", unpacked]),
            PayloadFormat other => throw new InvalidOperationException($"no baseline for {other}"),
            null => throw new InvalidOperationException("no payload"),
        };
        File.WriteAllBytes(packed, payload.AsSpan(0, payload.Length - 4));
        int vm = 0;
        (double ours, double theirs) = Stopwatches.Alternate(
            Pairs,
            () =>
            {
                using PreparedKernel prepared = PreparedKernel.Open(TestKernels.Image(kernel));
                Write(prepared, vm++, image);
            },
            () =>
            {
                Stopwatches.Run(tool, arguments);
                Stopwatches.Run("cp", unpacked, image + ".copy");
            });
        return new Result($"image cold, {kernel}", ours, theirs, $"{tool} -d and cp", "ms", 1.5, LimitIsRatio: true);
    }

    private static Result Warm(string kernel, string folder)
    {
        string image = Path.Combine(folder, "image");
        using PreparedKernel prepared = PreparedKernel.Open(TestKernels.Image(kernel));
        int vm = 0;
        (double ours, double theirs) = Stopwatches.Alternate(Pairs, () => Write(prepared, vm++, image), () => Stopwatches.Run("cp", image, image + ".copy"));
        return new Result($"image warm, {kernel}", ours, theirs, "cp", "ms", 1.5, LimitIsRatio: true);
    }

    private static void Write(PreparedKernel kernel, int vm, string image)
    {
        using KernelLayout layout = BenchKernel.Layout(kernel.Facts.Geometry, vm);
        kernel.WriteBootImage(layout, image);
    }
}

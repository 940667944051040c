namespace KaslrMt.Bench;

/// <summary>The published command as whole processes: run <c>eng/publish.sh</c> first.</summary>
internal static class CommandBenchmark
{
    private const int Pairs = 21;

    public static IEnumerable<Result> Run()
    {
        string command = Path.GetFullPath(Environment.GetEnvironmentVariable("KASLRMT_COMMAND") is { Length: > 0 } given ? given : "out/kaslrmt");
        if (!File.Exists(command))
        {
            throw new InvalidOperationException($"{command} is missing: run eng/publish.sh, or name the command in KASLRMT_COMMAND");
        }

        (double help, double nothing) = Stopwatches.Alternate(Pairs, () => Stopwatches.Run(command, "--help"), () => Stopwatches.Run("true"));
        yield return new Result("kaslrmt --help, whole process", help, nothing, "true", "ms", 120, LimitIsRatio: false);

        string folder = BenchKernel.MemoryFolder();
        try
        {
            string key = Path.Combine(folder, "key");
            string image = Path.Combine(folder, "image");
            Stopwatches.Run(command, "key", "new", key);
            foreach (string kernel in TestKernels.Always)
            {
                string[] arguments = ["image", "--kernel", TestKernels.Image(kernel), "--memory", "1G", "--tenant-key-file", key, "--output", image];
                (double whole, double copy) = Stopwatches.Alternate(
                    Pairs, () => Stopwatches.Run(command, arguments), () => Stopwatches.Run("cp", image, image + ".copy"));

                // No target of its own: what the process costs beside what it does.
                yield return new Result($"kaslrmt image, warm, whole process, {kernel}", whole, copy, "cp", "ms", double.PositiveInfinity, LimitIsRatio: false);
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}

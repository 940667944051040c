namespace KaslrMt.TestSupport;

/// <summary>Finds the real kernels the tests run on.</summary>
/// <remarks>
/// <c>$KASLRMT_KERNELS</c>, else <c>$XDG_CACHE_HOME/kaslrmt/kernels</c>, else <c>~/.cache/kaslrmt/kernels</c>: a folder for each kernel, with
/// <c>vmlinuz</c> in it. <c>6.1-cloud</c> and <c>6.12-cloud</c> are always there.
/// </remarks>
public static class TestKernels
{
    /// <summary>The folder of all kernels.</summary>
    public static string Folder { get; } = Environment.GetEnvironmentVariable("KASLRMT_KERNELS") is { Length: > 0 } chosen
        ? chosen
        : Path.Combine(
            Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } cache
                ? cache
                : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"),
            "kaslrmt",
            "kernels");

    /// <summary>The kernels that every machine has.</summary>
    public static IReadOnlyList<string> Always { get; } = ["6.1-cloud", "6.12-cloud"];

    /// <summary>The names of the kernels present, sorted; at least the two.</summary>
    public static IReadOnlyList<string> Names()
    {
        string[] names = [.. Directory.GetDirectories(Folder)
            .Where(folder => File.Exists(Path.Combine(folder, "vmlinuz")))
            .Select(folder => Path.GetFileName(folder)!)
            .Order(StringComparer.Ordinal)];
        foreach (string needed in Always)
        {
            if (!names.Contains(needed))
            {
                throw new InvalidOperationException($"the tests need the kernel {Path.Combine(Folder, needed, "vmlinuz")}; set KASLRMT_KERNELS");
            }
        }

        return names;
    }

    /// <summary>A kernel's bzImage.</summary>
    public static string Image(string name)
    {
        string path = Path.Combine(Folder, name, "vmlinuz");
        return File.Exists(path) ? path : throw new InvalidOperationException($"the tests need the kernel {path}; set KASLRMT_KERNELS");
    }

    /// <summary>The folder of a kernel's modules: <c>lib/modules/RELEASE</c>'s content, by release.</summary>
    public static string Modules(string name) => Directory.GetDirectories(Path.Combine(Folder, name, "modules")).Order(StringComparer.Ordinal).First();
}

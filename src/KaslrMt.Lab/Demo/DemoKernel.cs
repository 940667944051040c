using KaslrMt.Hypervisors;

namespace KaslrMt.Lab.Demo;

/// <summary>A kernel of the cache, with the module that its demonstration loads.</summary>
/// <param name="Name">The folder's name.</param>
/// <param name="Image">The kernel file.</param>
/// <param name="Module">A module's file, packed or not.</param>
internal sealed record DemoKernel(string Name, string Image, string Module)
{
    /// <summary>The kernels of the demonstration: Debian's.</summary>
    public static IReadOnlyList<string> Standard { get; } = ["6.1-cloud", "6.12-cloud"];

    /// <summary>The folder that <c>eng/kernels.sh</c> fills.</summary>
    public static string DefaultFolder
    {
        get
        {
            string? Variable(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : null;
            string cache = Variable("XDG_CACHE_HOME") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
            return Variable("KASLRMT_KERNELS") ?? Path.Combine(cache, "kaslrmt", "kernels");
        }
    }

    /// <summary>The kernels to demonstrate.</summary>
    /// <param name="folder">Where they are.</param>
    /// <param name="names">Folders in it.</param>
    /// <exception cref="KaslrMtException">KMT9001 for a name that is none; KMT9005 when one is missing.</exception>
    public static IReadOnlyList<DemoKernel> FindIn(string folder, IEnumerable<string> names) => [.. names.Distinct().Select(name =>
    {
        if (Path.GetFileName(name) != name || name is "" or "." or "..")
        {
            throw new KaslrMtException(CoreErrors.Usage, $"--kernel '{Printable.Of(name, 60)}' is no kernel's name", "give the name of a folder in --kernels, such as 6.12-cloud");
        }

        string image = Path.Combine(folder, name, "vmlinuz");
        string modules = Path.Combine(folder, name, "modules");
        string? module = Directory.Exists(modules)
            ? Directory.EnumerateFiles(modules, "dummy.ko*", SearchOption.AllDirectories).FirstOrDefault()
            : null;
        return File.Exists(image) && module is not null
            ? new DemoKernel(name, image, module)
            : throw new KaslrMtException(LabErrors.Demo, $"{Path.Combine(folder, name)} holds no kernel with modules", "run ./demo.sh, which downloads it");
    })];

    /// <summary>Builds the guest's initramfs.</summary>
    public void WriteInitramfs(string path)
    {
        string name = Path.GetFileName(Module);
        Initramfs.BuildTo(path, GuestSelfReport.Init(name), new Dictionary<string, byte[]> { [$"/m/{name}"] = File.ReadAllBytes(Module) });
    }
}

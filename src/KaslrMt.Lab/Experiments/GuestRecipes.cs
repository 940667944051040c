using System.Security.Cryptography;
using KaslrMt.Hypervisors;
using KaslrMt.Lab.Demo;
using KaslrMt.Sharing;

namespace KaslrMt.Lab.Experiments;

/// <summary>The kinds of guests that experiments boot.</summary>
internal static class GuestRecipes
{
    /// <summary>Busybox, with a dozen of the kernel's own modules loaded in a fixed order: small and quick.</summary>
    public const string Minimal = "minimal";

    /// <summary>Debian with systemd and udev (<c>eng/guests.sh</c>): modules come by the hardware's events.</summary>
    public const string Debian = "debian";

    /// <summary>Lets a guest's last work at boot (freeing init sections, RCU callbacks) end.</summary>
    private const int MinimalSettleSeconds = 1;

    // In an order that fulfils their dependencies. What a kernel has built in is left out.
    private static readonly string[] Modules =
        ["llc", "stp", "bridge", "dummy", "veth", "tun", "loop", "overlay", "fuse", "libcrc32c", "nfnetlink", "nf_tables"];

    /// <summary>The folder that <c>eng/guests.sh</c> fills.</summary>
    public static string GuestsFolder => Environment.GetEnvironmentVariable("KASLRMT_GUESTS") is { Length: > 0 } chosen
        ? chosen
        : Path.Combine(
            Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } cache
                ? cache
                : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"),
            "kaslrmt",
            "guests");

    /// <summary>The recipe of a kind.</summary>
    /// <param name="kind"><see cref="Minimal"/> or <see cref="Debian"/>.</param>
    /// <param name="kernel">The kernel's name in the cache, such as <c>6.1-cloud</c>.</param>
    /// <param name="memory">RAM.</param>
    /// <param name="files">A private folder for an initramfs that is built here, made if needed; one of the same content is used again.</param>
    /// <exception cref="KaslrMtException">KMT6025 when a file is missing.</exception>
    public static GuestRecipe Find(string kind, string kernel, ByteSize memory, string files) =>
        kind == Debian ? FindDebian(kernel, memory) : FindMinimal(kernel, memory, files);

    private static GuestRecipe FindDebian(string kernel, ByteSize memory)
    {
        string folder = Path.Combine(GuestsFolder, Debian);
        string image = Path.Combine(folder, kernel, "vmlinuz"), initrd = Path.Combine(folder, kernel, "initrd"), disk = Path.Combine(folder, "root.ext4");
        string? missing = new[] { image, initrd, disk }.FirstOrDefault(file => !File.Exists(file));
        return missing is null
            ? new GuestRecipe
            {
                Name = Debian,
                Kernel = image,
                Initrd = initrd,
                Disk = disk,
                CommandLine = "console=ttyS0 root=/dev/vda ro quiet no_timer_check panic=-1",
                Memory = memory,
            }
            : throw new KaslrMtException(SharingErrors.ExperimentGuestMissing, $"the debian guest is not complete: there is no {missing}", "build it: eng/guests.sh debian");
    }

    private static GuestRecipe FindMinimal(string kernel, ByteSize memory, string store)
    {
        string folder = Path.Combine(DemoKernel.DefaultFolder, kernel);
        string image = Path.Combine(folder, "vmlinuz"), modules = Path.Combine(folder, "modules");
        if (!File.Exists(image) || !Directory.Exists(modules))
        {
            throw new KaslrMtException(SharingErrors.ExperimentGuestMissing, $"{folder} holds no kernel with modules", "fetch it: eng/kernels.sh");
        }

        Dictionary<string, string> known = Directory.EnumerateFiles(modules, "*.ko*", SearchOption.AllDirectories)
            .GroupBy(file => Path.GetFileName(file).Split('.')[0])
            .ToDictionary(group => group.Key, group => group.First());
        string[] files = [.. Modules.Where(known.ContainsKey).Select(name => known[name])];
        string load = string.Join('\n', files.Select(file => Load(Path.GetFileName(file))));
        byte[] initrd = Initramfs.Build(
            $"{load}\nrm -rf /m\nsleep {MinimalSettleSeconds}\necho {GuestRecipe.ReadyMark}\nwhile true; do sleep 3600; done",
            files.ToDictionary(file => $"/m/{Path.GetFileName(file)}", File.ReadAllBytes));
        return new GuestRecipe
        {
            Name = Minimal,
            Kernel = image,
            Initrd = Keep(initrd, store),
            CommandLine = "console=ttyS0 quiet no_timer_check loglevel=1 panic=-1",
            Memory = memory,
        };
    }

    private static string Keep(byte[] initrd, string folder)
    {
        Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        string path = Path.Combine(folder, Convert.ToHexStringLower(SHA256.HashData(initrd))[..32]);
        if (!File.Exists(path))
        {
            using WholeFile file = WholeFile.Create(path);
            file.Write(initrd, 0);
            file.Commit();
        }

        return path;
    }

    private static string Load(string file) => file.EndsWith(".xz", StringComparison.Ordinal)
        ? $"xzcat /m/{file} > /m/unpacked.ko && insmod /m/unpacked.ko"
        : $"insmod /m/{file}";
}

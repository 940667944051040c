using KaslrMt.Hypervisors;

namespace KaslrMt.BootTests.Running;

/// <summary>A folder that is gone after the test, with a runtime directory of its own in it.</summary>
internal sealed class Scratch : IDisposable
{
    internal Scratch() => Runtime = RuntimeDirectory.Open(System.IO.Path.Combine(Path, "run"));

    internal string Path { get; } = Directory.CreateTempSubdirectory("kaslrmt-boot-").FullName;

    internal RuntimeDirectory Runtime { get; }

    /// <summary>Where this host's tenant table and identity are.</summary>
    internal string StateDirectory => File("state");

    /// <summary>What <c>XDG_CONFIG_HOME</c> is there.</summary>
    internal string ConfigurationHome => File("config");

    /// <summary>Writes this host's configuration file.</summary>
    internal void Configure(params string[] lines)
    {
        string folder = System.IO.Path.Combine(ConfigurationHome, "kaslrmt");
        Directory.CreateDirectory(folder);
        System.IO.File.WriteAllLines(System.IO.Path.Combine(folder, "config"), lines);
    }

    /// <summary>What VMs have left in the runtime directory, prepared kernels and initramfs aside.</summary>
    internal IEnumerable<string> Leftovers => Directory.EnumerateFileSystemEntries(Runtime.Path).Where(path => System.IO.Path.GetFileName(path) is not (".prepared" or ".initramfs"));

    public void Dispose() => Directory.Delete(Path, recursive: true);

    internal string File(string name) => System.IO.Path.Combine(Path, name);
}

using KaslrMt.Hypervisors;

namespace KaslrMt.BootTests.Running;

/// <summary>A folder that is gone after the test, with a runtime directory of its own in it.</summary>
internal sealed class Scratch : IDisposable
{
    internal Scratch() => Runtime = RuntimeDirectory.Open(System.IO.Path.Combine(Path, "run"));

    internal string Path { get; } = Directory.CreateTempSubdirectory("kaslrmt-boot-").FullName;

    internal RuntimeDirectory Runtime { get; }

    /// <summary>What VMs have left in the runtime directory, prepared kernels aside.</summary>
    internal IEnumerable<string> Leftovers => Directory.EnumerateFileSystemEntries(Runtime.Path).Where(path => System.IO.Path.GetFileName(path) != ".prepared");

    public void Dispose() => Directory.Delete(Path, recursive: true);

    internal string File(string name) => System.IO.Path.Combine(Path, name);
}

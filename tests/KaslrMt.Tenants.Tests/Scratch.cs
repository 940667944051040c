namespace KaslrMt.Tenants.Tests;

/// <summary>A private directory for one test.</summary>
internal sealed class Scratch : IDisposable
{
    // tmpfs where there is one: thousands of durable commits on a disk would make the tests slow, not better.
    private static readonly string Root = Directory.Exists("/dev/shm") ? "/dev/shm" : System.IO.Path.GetTempPath();

    internal string Path { get; } = Directory.CreateDirectory(
        System.IO.Path.Combine(Root, $"kaslrmt-test-{Guid.NewGuid():N}"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute).FullName;

    internal KeyRingFile Keys => new(File("kek"), MayCreate: true);

    internal string File(string name) => System.IO.Path.Combine(Path, name);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}

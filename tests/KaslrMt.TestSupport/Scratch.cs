namespace KaslrMt.TestSupport;

/// <summary>A folder of a test's own, gone with it.</summary>
public class Scratch : IDisposable
{
    /// <summary>Makes the folder, on a disk if temporary files are on one.</summary>
    public Scratch()
        : this(Directory.CreateTempSubdirectory("kaslrmt-test-").FullName)
    {
    }

    private Scratch(string folder) => Folder = folder;

    public string Folder { get; }

    /// <summary>A key file that is good enough.</summary>
    public string Key => Write("good.key", "kT9#vQ2!mZ7&xR4@pL8^");

    /// <summary>A folder in memory where the host has one for all: thousands of durable commits on a disk would make tests slow, not better.</summary>
    public static Scratch InMemory()
    {
        string root = Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath();
        return new Scratch(Directory.CreateDirectory(
            Path.Combine(root, $"kaslrmt-test-{Guid.NewGuid():N}"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute).FullName);
    }

    /// <summary>The path of that name in the folder.</summary>
    public string At(string name) => Path.Combine(Folder, name);

    /// <summary>Writes a file, its owner's alone unless another mode is given.</summary>
    public string Write(string name, string text, UnixFileMode mode = UnixFileMode.UserRead | UnixFileMode.UserWrite)
    {
        File.WriteAllText(At(name), text);
        File.SetUnixFileMode(At(name), mode);
        return At(name);
    }

    public void Dispose()
    {
        Directory.Delete(Folder, recursive: true);
        GC.SuppressFinalize(this);
    }
}

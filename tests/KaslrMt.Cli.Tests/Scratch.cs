namespace KaslrMt.Cli.Tests;

/// <summary>A folder of a test's own, with a good key in it.</summary>
public sealed class Scratch : IDisposable
{
    public string Folder { get; } = Directory.CreateTempSubdirectory("kaslrmt-cli-").FullName;

    public string Key => Write("good.key", "kT9#vQ2!mZ7&xR4@pL8^");

    public string At(string name) => Path.Combine(Folder, name);

    public string Write(string name, string text, UnixFileMode mode = UnixFileMode.UserRead | UnixFileMode.UserWrite)
    {
        File.WriteAllText(At(name), text);
        File.SetUnixFileMode(At(name), mode);
        return At(name);
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}

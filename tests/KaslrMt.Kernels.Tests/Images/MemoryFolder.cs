namespace KaslrMt.Kernels.Tests;

/// <summary>Folders for images that are written in numbers: on the memory file system where it has room for several.</summary>
internal static class MemoryFolder
{
    private const string Memory = "/dev/shm";
    private const long Room = 1L << 30;

    /// <summary>A new folder of mode 0700; the caller deletes it.</summary>
    public static string Create()
    {
        bool roomy = Directory.Exists(Memory) && new DriveInfo(Memory).AvailableFreeSpace > Room;
        string path = Path.Combine(roomy ? Memory : Path.GetTempPath(), $"kaslrmt-test-{Path.GetRandomFileName()}");
        return Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute).FullName;
    }
}

namespace KaslrMt.Sharing;

/// <summary>Folders whose files are the host's memory.</summary>
internal static class MemoryFolder
{
    private static readonly string[] InMemory = ["tmpfs", "ramfs"];

    /// <summary>Returns whether a folder lies in a file system that is memory.</summary>
    internal static bool IsInMemory(string folder)
    {
        string full = Path.GetFullPath(folder);
        DriveInfo? drive = DriveInfo.GetDrives()
            .Where(drive => full == drive.Name || full.StartsWith(drive.Name.TrimEnd('/') + "/", StringComparison.Ordinal))
            .MaxBy(drive => drive.Name.Length);
        return drive is not null && InMemory.Contains(drive.DriveFormat);
    }

    /// <summary>Returns the size of all regular files below a folder, in bytes.</summary>
    internal static long SizeOf(string folder) => new DirectoryInfo(folder)
        .EnumerateFiles("*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint, IgnoreInaccessible = true, MaxRecursionDepth = 4 })
        .Sum(file => file.Exists ? file.Length : 0);
}

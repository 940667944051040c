using System.Runtime.InteropServices;

namespace KaslrMt;

/// <summary>Tells regular files from the rest: opening a pipe waits for ever, and replacing a device would take it from the host.</summary>
public static partial class RegularFile
{
    private const int CurrentDirectory = -100; // AT_FDCWD
    private const uint TypeOnly = 0x1; // STATX_TYPE

    /// <summary>Why a path is no regular file, as a clause; null when it is one, or when nothing is there (or may be seen there).</summary>
    /// <param name="path">The path; links are followed.</param>
    public static string? Fault(string path)
    {
        if (path.Length == 0)
        {
            return "the name is empty";
        }

        if (StatX(CurrentDirectory, path, 0, TypeOnly, out Status status) != 0)
        {
            return null;
        }

        // inode(7)
        return (status.Mode & 0xf000) switch
        {
            0x8000 => null,
            0x4000 => "it is a folder",
            0x2000 or 0x6000 => "it is a device",
            0x1000 => "it is a pipe",
            0xc000 => "it is a socket",
            _ => "it is no regular file",
        };
    }

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int StatX(int directory, string path, int flags, uint mask, out Status status);

    /// <summary>struct statx (statx(2)), 256 bytes; what is not needed is padding.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    internal struct Status
    {
        [FieldOffset(28)]
        public ushort Mode;
    }
}

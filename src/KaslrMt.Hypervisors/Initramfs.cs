using System.Globalization;
using System.Text;

namespace KaslrMt.Hypervisors;

/// <summary>Builds a guest's initramfs: busybox and an init script, as an uncompressed newc cpio archive.</summary>
/// <remarks>Format: <c>Documentation/driver-api/early-userspace/buffer-format.rst</c>.</remarks>
public static class Initramfs
{
    private const int Directory = 0x41ed;
    private const int Executable = 0x81ed;
    private const int CharacterDevice = 0x2180;

    // Folders, and the console, are numbered below it.
    private const int FirstFile = 1 << 16;

    /// <summary>Runs before the script: mounts /proc, /sys and /dev and makes busybox's commands available by name.</summary>
    private const string Prologue = """
        #!/bin/busybox sh
        /bin/busybox mkdir -p /proc /sys /dev /tmp /sbin /usr/bin /usr/sbin
        /bin/busybox --install -s
        mount -t proc proc /proc
        mount -t sysfs sysfs /sys
        mount -t devtmpfs devtmpfs /dev 2>/dev/null

        """;

    /// <summary>The archive.</summary>
    /// <param name="initScript">What init does once /proc and /sys are mounted: busybox shell. When it ends, the kernel panics.</param>
    /// <param name="extraFiles">Further files by absolute path in the guest; they are executable.</param>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.BusyboxMissing"/>.</exception>
    public static byte[] Build(string initScript, IReadOnlyDictionary<string, byte[]>? extraFiles = null)
    {
        Dictionary<string, byte[]> files = new(extraFiles ?? new Dictionary<string, byte[]>())
        {
            ["/bin/busybox"] = File.ReadAllBytes(Busybox()),
            ["/init"] = Encoding.UTF8.GetBytes(Prologue + initScript.ReplaceLineEndings("\n") + "\n"),
        };
        using MemoryStream archive = new();
        WriteFolders(archive, files.Keys.Append("/dev/console"));

        // The kernel opens /dev/console for init before anything is mounted.
        Write(archive, FirstFile - 1, "dev/console", CharacterDevice, [], major: 5, minor: 1);
        return WriteFiles(archive, files);
    }

    /// <summary>An archive to be put behind another one: the kernel unpacks both, and a file that both hold is the second's.</summary>
    /// <param name="files">Files by absolute path in the guest; they are executable.</param>
    public static byte[] Overlay(IReadOnlyDictionary<string, byte[]> files)
    {
        ArgumentNullException.ThrowIfNull(files);
        using MemoryStream archive = new();
        WriteFolders(archive, files.Keys);
        return WriteFiles(archive, files);
    }

    /// <summary>Writes an initrd and an archive behind it; the kernel wants the second to begin at a multiple of four bytes.</summary>
    /// <param name="initrd">The initrd's file, in whatever form the kernel takes.</param>
    /// <param name="overlay">From <see cref="Overlay"/>.</param>
    /// <param name="path">The file to write.</param>
    /// <returns>The path.</returns>
    public static string Append(string initrd, ReadOnlySpan<byte> overlay, string path)
    {
        File.Copy(initrd, path, overwrite: true);
        using FileStream both = new(path, FileMode.Open, FileAccess.ReadWrite);
        both.Seek(0, SeekOrigin.End);
        while (both.Position % 4 != 0)
        {
            both.WriteByte(0);
        }

        both.Write(overlay);
        return path;
    }

    /// <summary>Writes the archive to a file and returns its path.</summary>
    public static string BuildTo(string path, string initScript, IReadOnlyDictionary<string, byte[]>? extraFiles = null)
    {
        File.WriteAllBytes(path, Build(initScript, extraFiles));
        return path;
    }

    private static void WriteFolders(MemoryStream archive, IEnumerable<string> paths)
    {
        int inode = 1;
        foreach (string folder in Folders(paths))
        {
            Write(archive, inode++, folder, Directory, []);
        }
    }

    private static byte[] WriteFiles(MemoryStream archive, IReadOnlyDictionary<string, byte[]> files)
    {
        int inode = FirstFile;
        foreach ((string path, byte[] content) in files.OrderBy(file => file.Key, StringComparer.Ordinal))
        {
            Write(archive, inode++, path.TrimStart('/'), Executable, content);
        }

        Write(archive, 0, "TRAILER!!!", 0, []);
        return archive.ToArray();
    }

    private static string Busybox() =>
        File.Exists("/usr/bin/busybox") ? "/usr/bin/busybox"
        : File.Exists("/bin/busybox") ? "/bin/busybox"
        : throw new InvalidOperationException("the boot tests need busybox: install Debian's package busybox-static");

    private static SortedSet<string> Folders(IEnumerable<string> paths)
    {
        SortedSet<string> folders = new(StringComparer.Ordinal);
        foreach (string path in paths)
        {
            for (int slash = path.IndexOf('/', 1); slash > 0; slash = path.IndexOf('/', slash + 1))
            {
                folders.Add(path[1..slash]);
            }
        }

        return folders;
    }

    private static void Write(MemoryStream archive, int inode, string name, int mode, byte[] content, int major = 0, int minor = 0)
    {
        int[] fields = [inode, mode, 0, 0, 1, 0, content.Length, 0, 0, major, minor, Encoding.UTF8.GetByteCount(name) + 1, 0];
        archive.Write("070701"u8);
        foreach (int field in fields)
        {
            archive.Write(Encoding.ASCII.GetBytes(field.ToString("x8", CultureInfo.InvariantCulture)));
        }

        archive.Write(Encoding.UTF8.GetBytes(name + "\0"));
        Pad(archive);
        archive.Write(content);
        Pad(archive);
    }

    private static void Pad(MemoryStream archive)
    {
        while (archive.Length % 4 != 0)
        {
            archive.WriteByte(0);
        }
    }
}

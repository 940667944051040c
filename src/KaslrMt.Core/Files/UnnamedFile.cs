using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt;

/// <summary>Files without a name (open(2), O_TMPFILE): gone with the process that writes them, until they are linked.</summary>
internal static partial class UnnamedFile
{
    private const int ReadWrite = 2;
    private const int CloseOnExec = 0x80000;
    private const int TemporaryFile = 0x410000; // O_TMPFILE, with O_DIRECTORY
    private const uint OwnerOnly = 0x180; // 0600
    private const int CurrentDirectory = -100; // AT_FDCWD
    private const int FollowLink = 0x400; // AT_SYMLINK_FOLLOW
    private const int FileExists = 17; // EEXIST
    private const nuint CopyBlock = 1 << 30;

    /// <summary>Opens one on the folder's file system; null where that cannot have any.</summary>
    public static SafeFileHandle? Open(string folder)
    {
        int descriptor = Open(folder, ReadWrite | CloseOnExec | TemporaryFile, OwnerOnly);
        return descriptor < 0 ? null : new SafeFileHandle(descriptor, ownsHandle: true);
    }

    /// <summary>The path by which this process reaches an open file, named or not.</summary>
    public static string PathOf(SafeFileHandle file) => $"/proc/self/fd/{file.DangerousGetHandle()}";

    /// <summary>Gives the file a name, which must be free.</summary>
    /// <returns>False when the name is taken.</returns>
    /// <exception cref="IOException">The system refused for another reason.</exception>
    public static bool TryLink(SafeFileHandle file, string path)
    {
        if (Link(CurrentDirectory, PathOf(file), CurrentDirectory, path, FollowLink) == 0)
        {
            return true;
        }

        int error = Marshal.GetLastPInvokeError();
        return error == FileExists ? false : throw new IOException(Marshal.GetPInvokeErrorMessage(error), error);
    }

    /// <summary>Copies a whole file inside the kernel, as <c>cp</c> does.</summary>
    /// <returns>False when the file systems cannot.</returns>
    public static bool TryCopy(SafeFileHandle source, SafeFileHandle target, long length)
    {
        for (long left = length; left > 0;)
        {
            nint copied = CopyRange(source, 0, target, 0, (nuint)Math.Min((ulong)left, CopyBlock), 0);
            if (copied <= 0)
            {
                return false;
            }

            left -= copied;
        }

        return true;
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags, uint mode);

    [LibraryImport("libc", EntryPoint = "linkat", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Link(int oldFolder, string oldPath, int newFolder, string newPath, int flags);

    [LibraryImport("libc", EntryPoint = "copy_file_range", SetLastError = true)]
    private static partial nint CopyRange(SafeFileHandle source, nint sourceOffset, SafeFileHandle target, nint targetOffset, nuint length, uint flags);
}

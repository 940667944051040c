using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Tenants;

/// <summary>Tells whether a file that holds a secret, or is obeyed, is its owner's alone.</summary>
/// <remarks>The mode alone does not tell: 0600 keeps all users out but the owner, and the owner may be another user than the one that runs this program.</remarks>
public static partial class SecretFile
{
    private const int CurrentDirectory = -100; // AT_FDCWD
    private const int EmptyPath = 0x1000; // AT_EMPTY_PATH
    private const uint ModeAndOwner = 0x2 | 0x8; // STATX_MODE | STATX_UID
    private const int OpenToGroup = 0b111_000;
    private const int OpenToRest = 0b111;
    private const int ModeBits = 0xfff;

    /// <summary>Looks at an open file.</summary>
    /// <param name="file">The file.</param>
    /// <param name="groupMayRead">Whether its group does not count: systemd gives credentials so.</param>
    /// <returns>The fault, to stand behind the file's name; null when it is this user's or root's, and closed to all others.</returns>
    /// <exception cref="IOException">The host does not tell.</exception>
    public static string? Exposure(SafeFileHandle file, bool groupMayRead = false)
    {
        ArgumentNullException.ThrowIfNull(file);
        bool held = false;
        try
        {
            file.DangerousAddRef(ref held);
            return Exposure(StatX((int)file.DangerousGetHandle(), "", EmptyPath, ModeAndOwner, out Status status), status, groupMayRead);
        }
        finally
        {
            if (held)
            {
                file.DangerousRelease();
            }
        }
    }

    /// <summary>Looks at a file without opening it: closing a descriptor of a database would drop the locks that this process holds on it.</summary>
    /// <param name="path">The file.</param>
    /// <inheritdoc cref="Exposure(SafeFileHandle, bool)"/>
    public static string? Exposure(string path) => Exposure(StatX(CurrentDirectory, path, 0, ModeAndOwner, out Status status), status, groupMayRead: false);

    /// <summary>Refuses a file that is not its owner's alone.</summary>
    /// <param name="path">The file.</param>
    /// <param name="code">The error to throw.</param>
    /// <param name="role">The file's use, as in "password file for etcd".</param>
    /// <exception cref="KaslrMtException">With the code given.</exception>
    /// <exception cref="IOException">There is no such file.</exception>
    internal static void RequirePrivate(string path, ErrorCode code, string role)
    {
        if (Exposure(path) is { } exposure)
        {
            throw new KaslrMtException(code, $"the {role} {path} {exposure}", $"make it the file of the user that runs kaslrmt, and chmod 600 {path}");
        }
    }

    private static string? Exposure(int outcome, in Status status, bool groupMayRead)
    {
        if (outcome != 0)
        {
            throw new IOException(Marshal.GetLastPInvokeErrorMessage());
        }

        if (status.Owner != 0 && status.Owner != StateDirectory.EffectiveUser())
        {
            return "belongs to another user";
        }

        return (status.Mode & (groupMayRead ? OpenToRest : OpenToGroup | OpenToRest)) != 0
            ? $"is open to others (mode {Convert.ToString(status.Mode & ModeBits, 8).PadLeft(4, '0')})"
            : null;
    }

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int StatX(int directory, string path, int flags, uint mask, out Status status);

    /// <summary>struct statx (statx(2)), 256 bytes; the fields that are not needed are padding.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct Status
    {
        [FieldOffset(20)]
        public uint Owner;

        [FieldOffset(28)]
        public ushort Mode;
    }
}

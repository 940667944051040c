using System.Runtime.InteropServices;

namespace KaslrMt;

/// <summary>Tells a folder that is this user's alone from every other.</summary>
internal static partial class PrivateFolder
{
    private const int CurrentFolder = -100; // AT_FDCWD
    private const int NoFollow = 0x100; // AT_SYMLINK_NOFOLLOW
    private const uint BasicStats = 0x7ff; // STATX_BASIC_STATS
    private const ushort FolderOf0700 = 0x41c0; // S_IFDIR | S_IRWXU

    /// <summary>Whether the path is a folder and no link to one, owned by the effective user, and of mode 0700: one look, so that nothing
    /// can change between the questions.</summary>
    public static bool IsAt(string path) =>
        StatX(CurrentFolder, path, NoFollow, BasicStats, out FileIdentity.Status status) == 0
        && status.Mode == FolderOf0700
        && status.Owner == EffectiveUser();

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int StatX(int directory, string path, int flags, uint mask, out FileIdentity.Status status);

    [LibraryImport("libc", EntryPoint = "geteuid")]
    private static partial uint EffectiveUser();
}

using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Tenants;

/// <summary>Whose a file is. Its mode alone does not tell: 0600 keeps everybody out but its owner.</summary>
public static partial class FileOwner
{
    private const int EmptyPath = 0x1000; // AT_EMPTY_PATH
    private const uint OwnerOnly = 0x8; // STATX_UID

    /// <summary>Whether an open file belongs to this user or to root, so that nobody else can have written it or reads it past its mode.</summary>
    public static bool IsTrusted(SafeFileHandle file) =>
        StatX(file, "", EmptyPath, OwnerOnly, out Status status) == 0 && (status.Owner == 0 || status.Owner == StateDirectory.EffectiveUser());

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int StatX(SafeFileHandle directory, string path, int flags, uint mask, out Status status);

    /// <summary>struct statx (statx(2)), 256 bytes; what is not needed is padding.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct Status
    {
        [FieldOffset(20)]
        public uint Owner;
    }
}

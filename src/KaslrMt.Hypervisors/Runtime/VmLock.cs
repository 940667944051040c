using System.Runtime.InteropServices;
using KaslrMt.Hypervisors.Native;
using Microsoft.Win32.SafeHandles;

namespace KaslrMt.Hypervisors;

/// <summary>The lock in a VM's folder. Whoever holds it owns the VM; the kernel frees it when the owner dies, however it dies.</summary>
internal static unsafe class VmLock
{
    private const int CurrentDirectory = -100;
    private const int EmptyPath = 0x1000;
    private const int NoFollow = 0x100;
    private const uint BasicFields = 0x7ff;

    /// <summary>Takes the lock. Null when somebody holds it; <paramref name="create"/> says whether to make the file.</summary>
    /// <exception cref="KaslrMtException"><see cref="HypervisorErrors.RuntimeDirectoryFailed"/> when the host refuses.</exception>
    internal static SafeFileHandle? TryTake(string path, bool create, out bool vanished)
    {
        vanished = false;
        int descriptor = Linux.Open(path, create ? Linux.OpenLockFile : Linux.OpenLockFile & ~0x40, 0x180);
        if (descriptor < 0)
        {
            int error = Marshal.GetLastPInvokeError();
            vanished = error == Linux.ENOENT;
            return vanished ? null : throw Refused(path, error);
        }

        SafeFileHandle handle = new(descriptor, ownsHandle: true);
        if (Linux.Flock(handle, Linux.LockExclusiveNow) != 0)
        {
            int error = Marshal.GetLastPInvokeError();
            handle.Dispose();
            return error == Linux.EWOULDBLOCK ? null : throw Refused(path, error);
        }

        // Between open and flock the last owner may have removed the folder: a lock on a file without a name proves nothing.
        if (TryStatus(path, out Linux.FileStatus named) && TryStatus(handle, out Linux.FileStatus held)
            && named.Inode == held.Inode && named.DeviceMajor == held.DeviceMajor && named.DeviceMinor == held.DeviceMinor)
        {
            return handle;
        }

        handle.Dispose();
        vanished = true;
        return null;
    }

    /// <summary>What lies at a path, not following a link in its last part.</summary>
    internal static bool TryStatus(string path, out Linux.FileStatus status)
    {
        fixed (Linux.FileStatus* result = &status)
        {
            return Linux.Statx(CurrentDirectory, path, NoFollow, BasicFields, result) == 0;
        }
    }

    /// <summary>Returns whether an open file is an ordinary one: no pipe, no device, no folder.</summary>
    internal static bool IsRegular(SafeFileHandle handle) => TryStatus(handle, out Linux.FileStatus status) && (status.Mode & 0xf000) == 0x8000;

    private static bool TryStatus(SafeFileHandle handle, out Linux.FileStatus status)
    {
        fixed (Linux.FileStatus* result = &status)
        {
            return Linux.Statx((int)handle.DangerousGetHandle(), "", EmptyPath, BasicFields, result) == 0;
        }
    }

    private static KaslrMtException Refused(string path, int error) => new(
        HypervisorErrors.RuntimeDirectoryFailed, $"cannot lock {path} ({Marshal.GetPInvokeErrorMessage(error)})");
}
